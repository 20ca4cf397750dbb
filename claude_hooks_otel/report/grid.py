"""A table as plain texts, and how it looks: in a terminal of any width, in a pipe, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

# Columns that a shortened name has at least, and that a name has at most.
SHORTEST_NAME, LONGEST_NAME = 8, 24
# Blanks between columns, where there is room and where there is little.
WIDE_GAP, NARROW_GAP = 2, 1


@dataclass(slots=True)
class Grid:
    """A table.

    Attributes:
        title: its title.
        names: the headers of the first columns, which hold names. Long names are shortened.
        numbers: the headers of the other columns. Numbers are never shortened.
        rows: the cells.
        note: a sentence below it.
        longest_name: characters after which a name is shortened in a terminal.
    """

    title: str
    names: Sequence[str]
    numbers: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""
    longest_name: int = LONGEST_NAME

    def lines(self, width: int | None) -> Iterator[str]:
        """Yield the lines of the table. No line is longer than ``width`` or ends with a blank.

        Args:
            width: the columns of the terminal; None in a pipe, where nothing is shortened.
        """
        names, numbers = self._widths()
        gap = WIDE_GAP
        if width is not None:
            if not (gap := self._gap(width, self.longest_name) or self._gap(width)):
                yield from self._records(width)
                return
            room = width - sum(numbers) - gap * (len(self._headers) - 1)
            names = _fitted([min(name, self.longest_name) for name in names], room)
        widths = [*names, *numbers]
        yield self._line(list(self._headers), widths, gap)
        if width is not None:
            yield "─" * (sum(widths) + gap * (len(widths) - 1))
        for row in self.rows:
            yield self._line(row, widths, gap)

    def fits(self, width: int) -> bool:
        """Return whether the columns fit into a terminal, without a name that is shortened below the longest."""
        return self._gap(width, self.longest_name) > 0

    def narrowed(self, width: int | None, dispensable: Iterable[str]) -> Grid:
        """Return the table without as many columns as it takes to fit.

        Args:
            width: as for ``lines``.
            dispensable: the headers of the columns that may be left out, in this order. Those that it does not have count for nothing.
        """
        grid = self
        for header in dispensable:
            if width is None or grid.fits(width):
                break
            if header not in grid._headers:
                continue
            place = grid._headers.index(header)
            grid = replace(
                grid,
                names=[name for name in grid.names if name != header],
                numbers=[name for name in grid.numbers if name != header],
                rows=[[*row[:place], *row[place + 1 :]] for row in grid.rows],
            )
        return grid

    def _widths(self) -> tuple[list[int], list[int]]:
        """Return the widths of the names and of the numbers."""
        widths = [self._widest(column) for column in range(len(self._headers))]
        return widths[: len(self.names)], widths[len(self.names) :]

    def _gap(self, width: int, name_width: int = SHORTEST_NAME) -> int:
        """Return the blanks between columns; 0 if the columns do not fit when names are shortened to a width."""
        names, numbers = self._widths()
        needed = sum(min(name_width, name) for name in names) + sum(numbers)
        fitting = (gap for gap in (WIDE_GAP, NARROW_GAP) if needed + gap * (len(self._headers) - 1) <= width)
        return next(fitting, 0)

    @property
    def _headers(self) -> tuple[str, ...]:
        return (*self.names, *self.numbers)

    def _widest(self, column: int) -> int:
        return max(len(self._headers[column]), *(len(row[column]) for row in self.rows), 0)

    def _line(self, cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
        count = len(self.names)
        shown = [
            _shortened(cell, width).ljust(width) if column < count else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return (" " * gap).join(shown).rstrip()

    def _records(self, width: int) -> Iterator[str]:
        """Yield each row as a block of lines: the terminal is too narrow for columns."""
        label = max(len(header) for header in self.numbers) + WIDE_GAP
        for row in self.rows:
            names, numbers = row[: len(self.names)], row[len(self.names) :]
            yield _shortened(" · ".join(names), width)
            for header, number in zip(self.numbers, numbers, strict=True):
                if number not in ("", "–"):
                    yield f"  {header.ljust(label)}{number}"


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV, with a line of headers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _fitted(widths: list[int], room: int) -> list[int]:
    """Return the widths of names so that they fit: the longest is shortened first."""
    widths = list(widths)
    while sum(widths) > room and max(widths) > 0:
        widths[widths.index(max(widths))] -= 1
    return widths


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"
