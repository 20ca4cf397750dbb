"""The words of the project: those of the dictionary that are gone stay gone (docs/glossary.md has the others)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Old word → what to say now. Matched as whole words, whatever their case.
GONE = {
    r"witness(es|ed)?": "source",
    r"settle(s|d|ment|ments|_\w+)?|\w+_settle(d|ment)?": "pair",
    r"series ?book|\w*\.book\b|the book|a book|books": "totals",
    r"is due|are due|due_sessions|\w+_due|what is due": "pending",
    r"watches|watched|watching": "follow",
    r"farewell": "shutdown timeout",
    r"patience": "timeout",
    r"nottobehad\w*|not to be had": "unavailable",
    r"can not": "cannot",
    r"beside the|beside that|beside them|beside it": "besides, in addition to, next to",
    r"reckon(s|ed)?": "compute",
    r"journals?": "transaction participant",
}
# Files whose words are not ours: recordings, licences, generated data, third-party formats.
LEFT_OUT = re.compile(
    r"^(tests/data/|LICENSE|constraints\.txt|monitoring/rig/.*go\.(mod|sum)|docs/images/|.*\.(png|gz|json)$)"
)
# Where an old word stands for something else.
ELSEWHERE = {
    "tests/project/test_words.py",
    "claude_hooks_otel/store/schema.py",  # names the tables of an older schema
    "tests/store/test_schema.py",
    "CHANGELOG.md",
}


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [name for name in listed if name and not LEFT_OUT.match(name) and name not in ELSEWHERE]


@pytest.mark.parametrize("word", GONE)
def test_an_old_word_is_nowhere(word: str) -> None:
    pattern = re.compile(rf"(?<![\w-])({word})(?![\w-])", re.IGNORECASE)
    found = []
    for name in files():
        path = Path(ROOT, name)
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert found == [], f"say {GONE[word]!r}"
