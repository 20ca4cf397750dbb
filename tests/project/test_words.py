"""Old words of the project are not used again. docs/glossary.md has the current ones."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Old word → what to say now. They match in any case, as whole words or as parts of a name with underscores.
GONE = {
    r"witness(es|ed)?": "source",
    r"settle(s|d|ment|ments)?": "pair",
    r"series[ _]?book|the[ _]book|a[ _]book|\.book|books": "totals",
    r"(is|are)[ _]due|due_sessions|\w+_due|what[ _]is[ _]due": "pending",
    r"watches|watched|watching": "follow",
    r"farewell": "shutdown timeout",
    r"patience": "timeout",
    r"nottobehad\w*|not to be had": "unavailable",
    r"can[ _]not": "cannot",
    r"beside[ _](the|that|them|it)": "besides, in addition to, next to",
    r"reckon(s|ed)?": "compute",
    r"journals?(?!_mode)": "transaction participant",
}
# Words that the names and docstrings of tests do not use. A name says what is true, so it does not begin with "what" either.
GONE_FROM_TESTS = {
    r"told|tells?": "say, report, name",
    r"knows?": "have",
    r"anew": "again",
    r"test_(what|whatever|it|they)_\w+": "name the subject",
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


def whole_word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9-])(un)?({word})(?![A-Za-z0-9-])", re.IGNORECASE)


@pytest.mark.parametrize("word", GONE)
def test_an_old_word_is_nowhere(word: str) -> None:
    pattern = whole_word(word)
    found = []
    for name in files():
        path = Path(ROOT, name)
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert found == [], f"say {GONE[word]!r}"


@pytest.mark.parametrize("word", GONE_FROM_TESTS)
def test_names_and_docstrings_of_tests_are_in_plain_words(word: str) -> None:
    pattern = whole_word(word)
    found = []
    for name in files():
        if not name.startswith("tests/") or not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(Path(ROOT, name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                texts = (getattr(node, "name", ""), ast.get_docstring(node) or "")
                found += [f"{name}: {text}" for text in texts if pattern.search(text)]
    assert found == [], f"say {GONE_FROM_TESTS[word]!r}"
