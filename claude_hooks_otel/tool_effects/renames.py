"""Finds renamed files among deleted and created ones, as git does by default (``diff.renames``)."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# Git's default for a rename: half of the larger file's bytes are also in the other file.
MIN_SIMILARITY = 0.5
# How many pairs of files are compared, in a fraction of a second. Above that, only identical files are paired, as in git.
MAX_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class PatchedFile:
    """A file in a patch.

    Attributes:
        path: the path.
        hunks: the lines of each hunk, each with its sign.
        created: whether the file is new.
        deleted: whether the file no longer exists.
    """

    path: str
    hunks: Sequence[Sequence[str]]
    created: bool = False
    deleted: bool = False

    def text(self) -> str:
        """Return the content of a created or deleted file. Its hunks have all of it."""
        lines: list[str] = []
        for line in (line for hunk in self.hunks for line in hunk):
            if line.startswith("\\") and lines:  # "\ No newline at end of file"
                lines[-1] = lines[-1].removesuffix("\n")
            else:
                lines.append(f"{line[1:]}\n")
        return "".join(lines)


def pair_renames(files: Sequence[PatchedFile]) -> tuple[list[tuple[str, str, str]], list[PatchedFile]]:
    """Return the renames as (new path, text before, text after), and all other files. An empty file is never renamed."""
    deleted = {file.path: file.text() for file in files if file.deleted and file.hunks}
    created = {file.path: file.text() for file in files if file.created and file.hunks}
    compare = _similarity if len(deleted) * len(created) <= MAX_PAIRS else operator.eq
    candidates = [
        (similarity, old, new)
        for old, before in deleted.items()
        for new, after in created.items()
        if (similarity := compare(before, after)) >= MIN_SIMILARITY
    ]
    renames: dict[str, str] = {}  # new path → old path
    old_paths: set[str] = set()
    for _, old, new in sorted(candidates, key=lambda candidate: -candidate[0]):
        if new not in renames and old not in old_paths:
            renames[new] = old
            old_paths.add(old)
    others = [
        file
        for file in files
        if not (file.deleted and file.path in old_paths) and not (file.created and file.path in renames)
    ]
    return [(new, deleted[old], created[new]) for new, old in renames.items()], others


def _similarity(before: str, after: str) -> float:
    """Return the share of the larger text's bytes that are in whole lines of the other text."""
    old, new = (Counter(text.encode("utf-8", "surrogatepass").splitlines(keepends=True)) for text in (before, after))
    copied = _size(old & new)
    return copied / (max(_size(old), _size(new)) or 1)


def _size(lines: Counter[bytes]) -> int:
    return sum(len(line) * count for line, count in lines.items())
