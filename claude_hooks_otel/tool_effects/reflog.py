r"""What git itself recorded in its reflogs: one line for each move of HEAD, of a branch and of a remote branch.

A line is ``<old> <new> <name> <e-mail> <seconds> <zone>\t<message>`` (gitrepository-layout, "logs"); the message says which
command moved it.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The end of a reflog that is read: some hundred thousand entries.
MAX_LOG_BYTES = 64_000_000

_ENTRY = re.compile(
    rb"(?P<old>[0-9a-f]{40,64}) (?P<new>[0-9a-f]{40,64}) .*> (?P<seconds>\d+) [+-]\d+(?:\t(?P<message>.*))?"
)

# The commands that make a commit, as they name themselves; a fast-forward makes none.
_COMMITS = (
    ("amended", re.compile(r"commit \(amend\)")),
    ("merged", re.compile(r"commit \(merge\)|(?:merge|pull)\b.*: (?!Fast-forward|fast-forward)")),
    ("cherry-picked", re.compile(r"commit \(cherry-pick\)|cherry-pick: (?!fast-forward)")),
    ("reverted", re.compile(r"commit \(revert\)|revert: ")),
    ("committed", re.compile(r"commit(?: \(initial\))?: ")),
    ("applied", re.compile(r"am: ")),
)
_REBASE = re.compile(r"(?:rebase|pull)\b.*\((?:pick|reword|edit|squash|fixup|continue|merge)\): ")


@dataclass(frozen=True, slots=True)
class ReflogEntry:
    """One line of a reflog.

    Attributes:
        old: the hash before, all zeros for a new ref.
        new: the hash after.
        seconds: when, Unix time, whole seconds.
        message: the command, and what it says.
    """

    old: str
    new: str
    seconds: int
    message: str

    @property
    def commit_action(self) -> str | None:
        """How the commit ``new`` was made: committed, amended, merged, … or rebased; None where no commit was made."""
        if self.old == self.new:
            return None
        if _REBASE.match(self.message):
            return "rebased"
        return next((action for action, pattern in _COMMITS if pattern.match(self.message)), None)

    @property
    def creates_branch(self) -> bool:
        """Whether this first entry of a branch tells of a new one; one checked out from a remote is not new."""
        return (
            self.old.strip("0") == "" and re.match(r"branch: Created from (?!refs/remotes/)", self.message) is not None
        )


def find_git_dir(directory: Path) -> Path | None:
    """The git directory that belongs to a working folder: the nearest ``.git`` above it, or the folder itself if it is bare."""
    for folder in (directory, *directory.parents):
        if (git_dir := resolve_git_dir(folder / ".git")) is not None:
            return git_dir
        if all((folder / part).exists() for part in ("HEAD", "objects", "refs")):
            return folder
    return None


def resolve_git_dir(path: Path) -> Path | None:
    """The folder that ``path`` is, or that it names if it is the ``.git`` file of a worktree or a submodule."""
    try:
        if path.is_dir():
            return path
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):
        return None
    named = text.removeprefix("gitdir:").strip()
    return Path(os.path.normpath(path.parent / named)) if text.startswith("gitdir:") else None


def common_dir(git_dir: Path) -> Path:
    """The folder that all worktrees of the repository share: branches and remotes live there."""
    try:
        named = (git_dir / "commondir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except (OSError, ValueError):
        return git_dir
    return Path(os.path.normpath(git_dir / named))


def entries(log: Path) -> Iterator[ReflogEntry]:
    """The entries of a reflog, in the order in which git wrote them; lines that are none are passed over. Never raises."""
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
            yield ReflogEntry(found["old"].decode(), found["new"].decode(), int(found["seconds"]), message)


def changed_logs(folder: Path, since: float) -> Iterator[tuple[str, Path]]:
    """The reflogs under ``folder`` written to at or after ``since``, each with the name of its ref below that folder."""
    try:
        for log in sorted(folder.rglob("*")):
            if log.is_file() and log.stat().st_mtime >= since - 1:
                yield log.relative_to(folder).as_posix(), log
    except OSError:
        return
