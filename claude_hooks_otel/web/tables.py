"""A table of the page: for people, and with exact values as CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claude_hooks_otel.report.breakdown import COLUMNS, Breakdown, Column, Figures
from claude_hooks_otel.report.figures import CACHE_HITS, cell, figure_text, figures_of, sorted_rows, title, values
from claude_hooks_otel.report.grid import as_csv
from claude_hooks_otel.report.tool_names import shown as shown_as
from claude_hooks_otel.web.question import Question

FORMS: Final = ("csv", "json")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column.

    Attributes:
        title: its text.
        is_number: whether the column is aligned to the right.
        hint: what it means.
        href: the address that sorts by it; None if the script of the page sorts it.
        order: ``descending`` or ``ascending`` if the table is sorted by it.
    """

    title: str
    is_number: bool = True
    hint: str = ""
    href: str | None = None
    order: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        value: what it is sorted by.
        href: the sessions, or whatever else is behind it.
        share: its part of the largest value, from 0 to 1, for a bar; None without one.
        tone: ``good``, ``bad``, ``warn``, ``quiet``, or a colour of the chart (``series-1`` …); empty for none.
        badge: whether it is drawn as a label.
        note: a few words below the text.
    """

    text: str
    value: float | str | None = None
    href: str | None = None
    share: float | None = None
    tone: str = ""
    badge: bool = False
    note: str = ""


@dataclass(slots=True)
class Table:
    """A table.

    Attributes:
        name: its part of the address.
        title: its title.
        heads: its columns.
        rows: its cells.
        total: the last row; None without one.
        records: the rows with exact values, for CSV and JSON.
        empty: what to say if there are no rows.
        note: a sentence below it.
    """

    name: str
    title: str
    heads: Sequence[Head]
    rows: list[list[Cell]] = field(default_factory=list)
    total: list[Cell] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    empty: str = "Nothing in this range."
    note: str = ""

    def as_csv(self) -> str:
        """Return the rows with exact values as CSV."""
        names = list(dict.fromkeys(name for record in self.records for name in record))
        rows = [["" if record.get(name) is None else record[name] for name in names] for record in self.records]
        return as_csv(names, rows)

    def as_json(self) -> dict[str, Any]:
        """Return the rows with exact values as an object for JSON."""
        return {"table": self.name, "title": self.title, "rows": self.records}


def breakdown_table(
    name: str,
    heading: str,
    found: Breakdown,
    question: Question,
    *,
    shown: Sequence[str],
    path: str = "/sessions",
    labels: Mapping[str, str] | None = None,
) -> Table:
    """Return the table of a breakdown of a report. Its values are those of ``report --by``.

    Args:
        name: its part of the address.
        heading: its title.
        found: the breakdown, by one or two groups.
        question: the range and the filters.
        shown: the figures that are shown, if any row has them. CSV and JSON have all.
        path: the page behind each row.
        labels: name of a group → what the head says instead.
    """
    figures = [each for each in shown if each in figures_of(found)]
    heads = [Head((labels or {}).get(group, group), is_number=False) for group in found.by]
    table = Table(name, heading, [*heads, *(Head(title(each)) for each in figures)])
    highest = max((row.amounts.get("cost_usd", 0) for row in found.rows.values()), default=0)
    for group, row in sorted_rows(found, None):
        href = question.url_of(path, dict(zip(found.by, group, strict=True)))
        first = [Cell(shown_as(name, text), text, href) for name, text in zip(found.by, group, strict=True)]
        cells = [_figure(row, each, highest, href if each == "cost_usd" else None) for each in figures]
        table.rows.append([*first, *cells])
        table.records.append(dict(zip(found.by, group, strict=True)) | values(row))
    whole = [Cell("total"), *(Cell("") for _ in found.by[1:])]
    table.total = [*whole, *(_figure(found.total, each, 0) for each in figures)]
    return table


def _figure(figures: Figures, name: str, highest: int, href: str | None = None) -> Cell:
    if name == CACHE_HITS:
        return Cell(cell(figures, name), figures.cache_hit_share)
    amount = figures.amounts.get(name)
    share = (amount or 0) / highest if name == "cost_usd" and highest else None
    return Cell(cell(figures, name), amount, href, share)


def figures_table(
    name: str,
    heading: str,
    found: Breakdown,
    question: Question,
    *,
    extra: Sequence[Head] = (),
    path: str = "/sessions",
) -> Table:
    """Return the table of a breakdown with columns of its own.

    Args:
        name: its part of the address.
        heading: its title.
        found: the breakdown.
        question: the range and the filters.
        extra: the heads of columns that the caller adds.
        path: the page behind each row.
    """
    present = {each for row in found.rows.values() for each in row.amounts}
    columns = [column for column in found.columns if column.name in present]
    heads = [*(Head(group, is_number=False) for group in found.by), *(Head(column.title) for column in columns), *extra]
    table = Table(name, heading, heads)
    for group, row in sorted(found.rows.items(), key=lambda each: -sum(each[1].amounts.values())):
        if not row.amounts:
            continue
        href = question.url_of(path, dict(zip(found.by, group, strict=True)))
        table.rows.append([*(Cell(text, text, href) for text in group), *figure_cells(row, columns)])
        table.records.append(dict(zip(found.by, group, strict=True)) | exact(row, columns))
    return table


def figure_cells(row: Figures, columns: Sequence[Column]) -> list[Cell]:
    """Return figures as cells."""
    return [Cell(figure_text(row, column), row.amounts.get(column.name)) for column in columns]


def exact(row: Figures, columns: Sequence[Column] = COLUMNS) -> dict[str, float | None]:
    """Return the name of each figure → its exact value, in its unit."""
    return {column.name: row.value(column) for column in columns}
