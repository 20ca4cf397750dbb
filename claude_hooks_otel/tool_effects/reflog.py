r"""What git records about itself: each commit and each new branch stands in a reflog, with the second in which it was made.

A line is ``<old> <new> <name> <e-mail> <seconds> <zone>\t<message>`` (gitrepository-layout(5), "logs"). The message names the
command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from pathlib import Path

from claude_hooks_otel.tool_effects.git_operations import GitOperation, name_digest
from claude_hooks_otel.tool_effects.git_repository import GitRepository

# The part of a reflog that is read, from its end: some hundred thousand entries.
MAX_LOG_BYTES = 64_000_000

_ENTRY = re.compile(
    rb"(?P<old>[0-9a-f]{40,64}) (?P<new>[0-9a-f]{40,64}) .*> (?P<seconds>\d+) [+-]\d+(?:\t(?P<message>.*))?"
)
# How the commands that make a commit describe themselves. A fast-forward makes none.
_COMMITS = (
    ("rebased", re.compile(r"(?:rebase|pull)\b.*\((?:pick|reword|edit|squash|fixup|continue|merge)\): ")),
    ("amended", re.compile(r"commit \(amend\)")),
    ("merged", re.compile(r"commit \(merge\)|(?:merge|pull)\b.*: (?!Fast-forward|fast-forward)")),
    ("cherry-picked", re.compile(r"commit \(cherry-pick\)|cherry-pick: (?!fast-forward)")),
    ("reverted", re.compile(r"commit \(revert\)|revert: ")),
    ("committed", re.compile(r"commit(?: \(initial\))?: ")),
    ("applied", re.compile(r"am: ")),
)
# A branch that is checked out from a remote is not new.
_NEW_BRANCH = re.compile(r"branch: Created from (?!refs/remotes/)")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a reflog: the hashes before (all zeros for a new ref) and after, the time in Unix seconds, and the message."""

    old: str
    new: str
    seconds: int
    message: str


def reflog_operations(repository: GitRepository, since: float, until: float) -> list[GitOperation]:
    """Return every commit and every new branch that git recorded in one worktree between two moments. Never raises.

    A reflog counts whole seconds. So everything in the second in which the window opens or closes belongs to it, whoever did it.
    A commit whose date is set by hand (GIT_COMMITTER_DATE) stands under that date. Commits come from the HEAD of this worktree
    alone, branches from all worktrees.

    Args:
        repository: the repository, as seen from the worktree.
        since: start of the window, Unix seconds.
        until: its end.
    """
    window = range(floor(since), floor(until) + 1)
    actions: dict[str, str] = {}
    for entry in _entries(repository.git_dir / "logs" / "HEAD"):
        if entry.seconds in window and (action := _commit_action(entry)) is not None:
            actions.setdefault(entry.new, action)
    found = [GitOperation("commit", action, sha) for sha, action in actions.items()]
    heads = repository.common_dir / "logs" / "refs" / "heads"
    for log in _changed_files(heads, since):
        first = next(_entries(log), None)
        if first and first.seconds in window and not first.old.strip("0") and _NEW_BRANCH.match(first.message):
            found.append(GitOperation("branch", "created", name_digest(log.relative_to(heads).as_posix())))
    return found


def _commit_action(entry: _Entry) -> str | None:
    """Return how a commit was made (see `GitOperation.action`); None if the entry makes none."""
    if entry.old == entry.new:
        return None
    return next((action for action, pattern in _COMMITS if pattern.match(entry.message)), None)


def _entries(log: Path) -> Iterator[_Entry]:
    """Yield the entries of a reflog, the oldest first. Invalid lines are left out."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_LOG_BYTES))
            data = file.read()
    except OSError:
        return
    for line in data.split(b"\n"):
        if found := _ENTRY.fullmatch(line):
            message = (found["message"] or b"").decode("utf-8", "replace")
            yield _Entry(found["old"].decode(), found["new"].decode(), int(found["seconds"]), message)


def _changed_files(folder: Path, since: float) -> Iterator[Path]:
    """Yield the files below a folder that were written at or after ``since`` (Unix seconds)."""
    try:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.stat().st_mtime >= since - 1:
                yield file
    except OSError:
        return
