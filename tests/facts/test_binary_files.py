"""A file that is binary to git changes without lines, although the client shows its text."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.from_tools import _facts

BEFORE, AFTER = "one\ntwo\n", "one\n2\n"


def counted(folder: Path, name: str) -> list[tuple[int | None, int | None]]:
    """Return the lines (added, deleted) of a finished Edit of a file."""
    call = FinishedCall(
        tool_use_id="t",
        session_id="s",
        tool="Edit",
        arguments={"file_path": name, "old_string": "two", "new_string": "2"},
        result={"originalFile": BEFORE, "structuredPatch": [{"lines": [" one", "-two", "+2"]}]},
        succeeded=True,
        ended_ns=1,
        labels={},
        directory=str(folder),
    )
    return [(fact.added, fact.deleted) for fact in _facts(call) if isinstance(fact, model.FileChange)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_file_counts_the_lines_that_git_counts_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    for name, text in (("before", BEFORE), ("after", AFTER)):
        tmp_path.joinpath(name).write_bytes(text.encode(encoding))
    command = ["git", "diff", "--no-index", "--numstat", "before", "after"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.split()[:2]
    expected = tuple(0 if number == "-" else int(number) for number in printed)
    assert counted(tmp_path, "after") == [expected]
    assert counted(tmp_path, str(tmp_path / "after")) == [expected]


def test_a_file_that_cannot_be_read_counts_as_text(tmp_path: Path) -> None:
    """A pipe does not block, and a folder or a missing file is no error."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "missing", "a\0b"):
        assert counted(tmp_path, name) == [(1, 1)]
