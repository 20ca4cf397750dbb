"""Markdown that GitHub and others show: text that comes from a repository or a model stays text, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

# Signs that can begin something in GitHub Flavored Markdown (its specification, "Backslash escapes" and "Autolinks"), a mention or a formula.
_SIGNS: Final = re.compile(r"([\\`*_{}\[\]<>()#|~!$@&]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
# Whatever ends a line, and control signs.
_BREAKS: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
LONGEST: Final = 120


def plain(text: str) -> str:
    """Return a text as Markdown that shows it, in one line and shortened."""
    line = _BREAKS.sub(" ", text).strip()
    return _SIGNS.sub(r"\\\1", line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…")


def table(names: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        names: the headers of the first columns, which hold names of any content.
        numbers: the headers of the other columns, which hold our own texts.
        rows: the cells.
    """
    yield f"| {' | '.join((*names, *numbers))} |"
    yield f"|{'---|' * len(names)}{'---:|' * len(numbers)}"
    for row in rows:
        cells = [*map(plain, row[: len(names)]), *row[len(names) :]]
        yield f"| {' | '.join(cells)} |"
