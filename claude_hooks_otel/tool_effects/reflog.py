r"""The commits and new branches in git's reflogs.

A line is ``<old> <new> <name> <e-mail> <seconds> <zone>\t<message>``. The hash ``<old>`` of a new ref has only zeros. The message names
the command. Source: gitrepository-layout(5), "logs".
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from math import floor
from pathlib import Path

from claude_hooks_otel.foreign_files import open_foreign, walk_foreign
from claude_hooks_otel.tool_effects.git_operations import GitOperation
from claude_hooks_otel.tool_effects.git_repository import GitRepository
from claude_hooks_otel.tool_effects.values import name_digest

# Bytes that are read at the end of a reflog: some twenty thousand entries. A call makes fewer, but an event may wait for hours.
MAX_LOG_BYTES = 4_000_000
# Bytes that are read at the beginning of a branch's reflog, whose first entry tells whether the branch is new.
FIRST_ENTRY_BYTES = 65_536
# Branches that are looked at, if so many changed since a call began.
MOST_BRANCHES = 500
# The latest time that a reflog can have, Unix seconds: git stores 64 bits.
MAX_SECONDS = 2**63

_ENTRY = re.compile(
    r"(?P<old>[0-9a-f]{40,64}) (?P<new>[0-9a-f]{40,64}) .*> (?P<seconds>[0-9]+) [+-][0-9]+(?:\t|$)(?P<message>.*)"
)
# Actions and the messages of the commands that make a commit. A fast-forward makes none.
_COMMITS = (
    ("rebased", re.compile(r"(?:rebase|pull)\b.*\((?:pick|reword|edit|squash|fixup|continue|merge)\): ")),
    ("amended", re.compile(r"commit \(amend\)")),
    ("merged", re.compile(r"commit \(merge\)|(?:merge|pull)\b.*: (?!Fast-forward|fast-forward)")),
    ("cherry-picked", re.compile(r"commit \(cherry-pick\)|cherry-pick: (?!fast-forward)")),
    ("reverted", re.compile(r"commit \(revert\)|revert: ")),
    ("committed", re.compile(r"commit(?: \(initial\))?: ")),
    ("applied", re.compile(r"am: ")),
)
# The messages of commands that only move a ref. Other messages, or none, come from plumbing: ``git update-ref``.
_MOVES = re.compile(
    r"(?:Branch|am|branch|checkout|cherry-pick|clone|commit|fetch|merge|pull|push|rebase|reset|revert|update by push)\b"
)
# What a commit's object begins with, and who committed it. Source: gitformat-commit.
_OBJECT = re.compile(rb"commit [0-9]+\x00.*?^committer .*> (?P<seconds>[0-9]+) [+-][0-9]+$", re.DOTALL | re.MULTILINE)
# How much of an object is read, packed and unpacked. A merge of a hundred parents has 5000 bytes before its committer.
_MAX_OBJECT_BYTES = 65_536
# A branch that is checked out from a remote is not new.
_NEW_BRANCH = re.compile(r"branch: Created from (?!refs/remotes/)")


def reflog_operations(repository: GitRepository, since: float, until: float) -> list[GitOperation]:
    """Return every commit and every new branch that git recorded between two times. Never raises.

    A reflog has whole seconds. So everything in the first and in the last second is included, no matter who did it. A commit with a
    date of its own (GIT_COMMITTER_DATE) has that date in the reflog. Commits come from this worktree only, branches from all. A commit of
    ``git commit-tree`` counts when a ref moves to it.

    Args:
        repository: the repository, as seen from the worktree.
        since: the first time, Unix seconds.
        until: the last time, Unix seconds.
    """
    window = range(floor(since), floor(until) + 1)
    actions: dict[str, str] = {}
    branches: list[GitOperation] = []
    for entry in _entries(repository.git_dir / "logs" / "HEAD"):
        if int(entry["seconds"]) in window and (action := _commit_action(entry)) is not None:
            actions.setdefault(entry["new"], action)
        elif int(entry["seconds"]) in window and _is_made_by_plumbing(repository, entry, window):
            actions.setdefault(entry["new"], "committed")
    heads = repository.common_dir / "logs" / "refs" / "heads"
    for log in islice(_changed_files(heads, since), MOST_BRANCHES):
        first = next(_entries(log, at_end=False), None)
        if (
            first
            and int(first["seconds"]) in window
            and not first["old"].strip("0")
            and _NEW_BRANCH.match(first["message"])
        ):
            branches.append(GitOperation("branch", "created", name_digest(log.relative_to(heads).as_posix())))
        for entry in _entries(log):
            if int(entry["seconds"]) in window and _is_made_by_plumbing(repository, entry, window):
                actions.setdefault(entry["new"], "committed")
    return [*(GitOperation("commit", action, sha) for sha, action in actions.items()), *branches]


def _commit_action(entry: re.Match[str]) -> str | None:
    """Return the `GitOperation.action` of a reflog entry; None if it makes no commit."""
    if entry["old"] == entry["new"]:
        return None
    return next((action for action, pattern in _COMMITS if pattern.match(entry["message"])), None)


def _is_made_by_plumbing(repository: GitRepository, entry: re.Match[str], window: range) -> bool:
    """Return whether plumbing moved a ref to a commit that was made in the window."""
    if _MOVES.match(entry["message"]):
        return False
    sha = entry["new"]
    try:
        with open_foreign(repository.common_dir / "objects" / sha[:2] / sha[2:]) as file:
            head = zlib.decompressobj().decompress(file.read(_MAX_OBJECT_BYTES), _MAX_OBJECT_BYTES)
    except (OSError, zlib.error):
        return False  # it is packed, so it is older
    made = _OBJECT.match(head)
    return made is not None and int(made["seconds"]) in window


def _entries(log: Path, *, at_end: bool = True) -> Iterator[re.Match[str]]:
    """Yield the entries at the end or at the beginning of a reflog, the oldest first, without invalid lines."""
    try:
        with open_foreign(log) as file:
            if at_end:
                file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
            data = file.read(MAX_LOG_BYTES if at_end else FIRST_ENTRY_BYTES)
    except OSError:
        return
    yield from filter(None, (_ENTRY.fullmatch(line.decode("utf-8", "replace")) for line in data.split(b"\n")))


def _changed_files(folder: Path, since: float) -> Iterator[Path]:
    """Yield the files below a folder that were written at or after a time, Unix seconds."""
    for file in walk_foreign(folder):
        try:
            if file.stat().st_mtime >= since - 1:
                yield file
        except OSError:
            continue  # removed meanwhile, or a link that leads nowhere
