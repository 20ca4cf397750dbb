"""Renamed files among a list of deleted and created ones, as git finds them (``diff.renames``, on by default)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# git's default similarity for a rename: half of the larger file's bytes come from the other.
MIN_SIMILARITY = 0.5
# Pairs of files to compare, a fraction of a second: with more, only files that moved unchanged are paired, as git does it.
MAX_PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class PatchedFile:
    """A file in a patch.

    Attributes:
        path: the file.
        hunks: the lines of each hunk, each with its sign.
        created: the file was not there before.
        deleted: the file is not there any more.
    """

    path: str
    hunks: Sequence[Sequence[str]]
    created: bool = False
    deleted: bool = False

    def text(self) -> str:
        """The whole content of a created or deleted file: it stands in its hunks."""
        lines: list[str] = []
        for line in (line for hunk in self.hunks for line in hunk):
            if line.startswith("\\") and lines:  # "\ No newline at end of file"
                lines[-1] = lines[-1].removesuffix("\n")
            else:
                lines.append(f"{line[1:]}\n")
        return "".join(lines)


@dataclass(frozen=True, slots=True)
class Rename:
    """A file that moved to ``path`` while its text went from ``before`` to ``after``."""

    path: str
    before: str
    after: str


def pair_renames(files: Sequence[PatchedFile]) -> tuple[list[Rename], list[PatchedFile]]:
    """The renames among ``files``, the most similar pairs first, and the files that take part in none. Empty files are never moved."""
    deleted = {file.path: (file, file.text()) for file in files if file.deleted and file.hunks}
    created = {file.path: (file, file.text()) for file in files if file.created and file.hunks}
    exact_only = len(deleted) * len(created) > MAX_PAIRS
    candidates = sorted(
        (
            (similarity, old.path, new.path)
            for old, before in deleted.values()
            for new, after in created.values()
            if (similarity := float(before == after) if exact_only else _similarity(before, after)) >= MIN_SIMILARITY
        ),
        key=lambda candidate: -candidate[0],
    )
    renames: list[Rename] = []
    taken: set[tuple[str, str]] = set()
    for _, old_path, new_path in candidates:
        if ("old", old_path) not in taken and ("new", new_path) not in taken:
            taken |= {("old", old_path), ("new", new_path)}
            renames.append(Rename(new_path, deleted[old_path][1], created[new_path][1]))
    others = [
        file
        for file in files
        if not (file.deleted and ("old", file.path) in taken) and not (file.created and ("new", file.path) in taken)
    ]
    return renames, others


def _similarity(before: str, after: str) -> float:
    """The share of the larger text's bytes that whole lines of the other make up."""
    old, new = (Counter(text.encode("utf-8", "surrogatepass").splitlines(keepends=True)) for text in (before, after))
    copied = sum(len(line) * count for line, count in (old & new).items())
    size = max(sum(len(line) * count for line, count in lines.items()) for lines in (old, new))
    return copied / size if size else 0.0
