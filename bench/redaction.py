"""Measure how long each rule of the secret redaction takes on 64 KiB of text that is made to be slow for it.

python -m bench.redaction [--top 10]

The texts repeat an example of a rule, its beginnings, and its single characters. Then whole redactions are measured: of these texts,
and of Python source.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.support import command_line, compare, resident_megabytes
from claude_hooks_otel.facts.secret_redaction import SecretRedactor

SIZE = 65_536
BAR_MS = 50.0
EXAMPLES = 3
BEGINNINGS = 12
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)


def main() -> int:
    """Print the slowest rules, the slowest whole text, and the memory."""
    parser = command_line(__doc__)
    parser.add_argument("--top", type=int, default=10, help="how many rules to print")
    options = parser.parse_args()
    before = resident_megabytes()
    redact = SecretRedactor()
    redact("token=x", 10)
    print(f"the compiled rules take {resident_megabytes() - before:.1f} MB")
    slowest = []
    texts: list[tuple[float, bytes]] = []
    for name, pattern in redact.rules():
        times = []
        for text in set(_slow_texts(pattern.pattern.decode())):
            times.append((_milliseconds(lambda text=text: sum(1 for _ in pattern.finditer(text))), text))
        slowest.append((*max(times), name))
        texts.append(max(times))
    slowest.sort(key=lambda row: -row[0])
    for took, text, name in slowest[: options.top]:
        print(f"{took:7.2f} ms  {name:30} {text[:50]!r} …")
    whole = [(_milliseconds(lambda text=text: redact(text.decode("latin1"), SIZE)), text) for _, text in texts]
    took, text = max(whole)
    print(f"the slowest of {len(whole)} of these texts takes {took:.1f} ms with all rules and forms: {text[:50]!r} …")
    source = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py")))[:SIZE]
    print(f"{len(source):,} characters of Python take {_milliseconds(lambda: redact(source, SIZE)):.1f} ms")
    return 0 if compare(slowest[0][0], BAR_MS, 1) else 1


def _milliseconds(call: object) -> float:
    assert callable(call)
    times = []
    for _ in range(2):
        began = time.thread_time()
        call()
        times.append(1000 * (time.thread_time() - began))
    return min(times)


def _slow_texts(expression: str) -> Iterator[bytes]:
    draw = random.Random(expression)
    for example in _examples(expression):
        ends = {len(example), len(example) - 1, *(draw.randrange(1, len(example) + 1) for _ in range(BEGINNINGS))}
        for end in ends:
            beginning = example[:end] or b"a"
            yield (beginning * SIZE)[:SIZE]
            yield ((beginning + b" ") * SIZE)[:SIZE]
            yield (beginning + beginning[-1:] * SIZE)[:SIZE]
            yield (beginning + b" " * SIZE)[:SIZE]


def _examples(expression: str) -> list[bytes]:
    flags = re.IGNORECASE if "(?i)" in expression else 0
    found: list[bytes] = []

    @seed(1)
    @settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(expression.replace("(?i)", ""), flags), fullmatch=True, alphabet=PRINTABLE))
    def collect(example: str) -> None:
        found.append(example.encode())

    collect()
    return found


if __name__ == "__main__":
    raise SystemExit(main())
