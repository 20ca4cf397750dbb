"""Measure how long each rule of the secret redaction takes on 64 KiB of text that is made to be slow for it.

python -m bench.redaction [--top 10]

The texts repeat an example of the rule, beginnings of it, and its last characters. Then the whole redaction is measured, decoding
included: with the slowest text of each rule, with encoded texts, and with Python source. Times are processor time.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.support import command_line, compare, resident_megabytes
from claude_hooks_otel.facts.secret_redaction import SecretRedactor

SIZE = 65_536
BAR_MS = 50.0
EXAMPLES = 3
BEGINNINGS = 12
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
ENCODED = (
    "%41",
    "%2541",
    "\\n",
    "\\\\",
    "\\u0041",
    "\n",
    "A" * 40 + "\n",
    "QUFBQUFBQUFBQUFB\n",
    "password" + " " * 2000,
)


def main() -> int:
    """Print the memory, the slowest rules and the slowest texts."""
    parser = command_line(__doc__)
    parser.add_argument("--top", type=int, default=10, help="how many rules to print")
    options = parser.parse_args()
    before = resident_megabytes()
    redact = SecretRedactor()
    redact("token=x", 10)
    print(f"the rules take {resident_megabytes() - before:.1f} MB")
    slowest = sorted((_slowest(pattern), name) for name, pattern in redact.rules())
    for (took, text), name in slowest[: -options.top - 1 : -1]:
        print(f"{took:7.2f} ms  {name:25} {text[:50]!r} …")
    texts = [text.decode() for (_, text), _ in slowest] + [(unit * SIZE)[:SIZE] for unit in ENCODED]
    took, text = max((_milliseconds(lambda text=text: redact(text, SIZE)), text) for text in texts)
    print(f"all rules and forms: {took:.1f} ms for the slowest of {len(texts)} texts, {text[:50]!r} …")
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    print(
        f"all rules and forms: {_milliseconds(lambda: redact(source, SIZE)):.1f} ms for {len(source):,} characters of Python"
    )
    return 0 if compare(slowest[-1][0][0], BAR_MS, 1) else 1


def _slowest(pattern: Any) -> tuple[float, bytes]:
    texts = set(_slow_texts(pattern.pattern.decode()))
    return max((_milliseconds(lambda text=text: sum(1 for _ in pattern.finditer(text))), text) for text in texts)


def _milliseconds(call: Callable[[], object]) -> float:
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
