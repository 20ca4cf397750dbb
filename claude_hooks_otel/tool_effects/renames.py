"""Renamed files among deleted and created ones, as git detects them (``diff.renames``, on by default)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# Git's default similarity of a rename: half of the larger file's bytes also stand in the other file.
MIN_SIMILARITY = 0.5
# Pairs of files to compare, a fraction of a second. With more, only identical files are paired, as git does.
MAX_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class PatchedFile:
    """A file in a patch.

    Attributes:
        path: its path.
        hunks: the lines of each hunk, each with its sign.
        created: whether the file is new.
        deleted: whether the file no longer exists.
    """

    path: str
    hunks: Sequence[Sequence[str]]
    created: bool = False
    deleted: bool = False

    def text(self) -> str:
        """Return the whole content of a created or deleted file, which stands in its hunks."""
        lines: list[str] = []
        for line in (line for hunk in self.hunks for line in hunk):
            if line.startswith("\\") and lines:  # "\ No newline at end of file"
                lines[-1] = lines[-1].removesuffix("\n")
            else:
                lines.append(f"{line[1:]}\n")
        return "".join(lines)


@dataclass(frozen=True, slots=True)
class Rename:
    """A file that moved to ``path`` while its text changed from ``before`` to ``after``."""

    path: str
    before: str
    after: str


def pair_renames(files: Sequence[PatchedFile]) -> tuple[list[Rename], list[PatchedFile]]:
    """Return the renames, the most similar pairs first, and the files that take part in none. Empty files are never renamed."""
    deleted = {file.path: file.text() for file in files if file.deleted and file.hunks}
    created = {file.path: file.text() for file in files if file.created and file.hunks}
    compare = _similarity if len(deleted) * len(created) <= MAX_PAIRS else _identity
    candidates = [
        (similarity, old, new)
        for old, before in deleted.items()
        for new, after in created.items()
        if (similarity := compare(before, after)) >= MIN_SIMILARITY
    ]
    renames: dict[str, Rename] = {}
    old_paths: set[str] = set()
    for _, old, new in sorted(candidates, key=lambda candidate: -candidate[0]):
        if new not in renames and old not in old_paths:
            renames[new] = Rename(new, deleted[old], created[new])
            old_paths.add(old)
    others = [
        file
        for file in files
        if not (file.deleted and file.path in old_paths) and not (file.created and file.path in renames)
    ]
    return list(renames.values()), others


def _identity(before: str, after: str) -> float:
    return float(before == after)


def _similarity(before: str, after: str) -> float:
    """Return the share of the larger text's bytes that whole lines of the other one make up."""
    old, new = (Counter(text.encode("utf-8", "surrogatepass").splitlines(keepends=True)) for text in (before, after))
    copied = _size(old & new)
    return copied / (max(_size(old), _size(new)) or 1)


def _size(lines: Counter[bytes]) -> int:
    return sum(len(line) * count for line, count in lines.items())
