"""The report of a range of time: a row for each group, and the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from claude_hooks_otel.cli.console import complain, print_json, say, width
from claude_hooks_otel.cli.questions import opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.breakdown import COLUMNS, TIMES, Breakdown, Figures, read_breakdown
from claude_hooks_otel.report.figures import cell, figures_of, sorted_rows, title, values
from claude_hooks_otel.report.grid import Grid, as_csv
from claude_hooks_otel.report.markdown import table
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.report.tool_names import shown
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.units import END_OF_TIME

FORMATS: Final = ("table", "json", "csv", "markdown")
_TREND: Final = "cost over time"
_BARS: Final = "▁▂▃▄▅▆▇█"


def print_range(
    home: Home,
    within: Range,
    *,
    by: Sequence[str] = (),
    only: Mapping[str, Sequence[str]] | None = None,
    sort: str | None = None,
    top: int | None = None,
    form: str = "table",
) -> None:
    """Print a range, or the next step if nothing was ever captured. Exit with 3 if its rows do not add up to the whole, which would be a fault of this program.

    Args:
        home: the home.
        within: the range.
        by: at most two groups.
        only: name of a group → the values that count.
        sort: a column by which the rows are sorted, the largest first; None for the order of time, or else by cost.
        top: how many rows are shown; None for all. The total counts all.
        form: one of FORMATS.
    """
    with opened_store(home) as connection:
        found = read_breakdown(connection, within, by=by, only=only)
        is_empty = not found.total.amounts and next(read_aggregates(connection, 0, END_OF_TIME), None) is None
    rows = sorted_rows(found, sort)[:top]
    if form == "json":
        print_json("report", **_as_json(found, rows, within))
    elif form == "csv":
        typer.echo(_as_csv(found, rows), nl=False)
    elif form == "markdown":
        typer.echo(_as_markdown(found, rows))
    elif is_empty:
        print_next_step(home)
    elif not found.total.amounts:
        say("Nothing happened in this range.")
    else:
        for line in _grid(found, rows, width()).lines(width()):
            typer.echo(line)
    if differences := found.differences():
        complain(f"the rows do not add up to the total: {differences}. Please report this as a bug.")
        raise typer.Exit(3)


def _as_json(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]], within: Range) -> dict[str, Any]:
    return {
        "since": within.local(within.since_ns).isoformat() if within.since_ns else None,
        "until": within.local(within.until_ns).isoformat() if within.until_ns < END_OF_TIME else None,
        "by": list(found.by),
        "rows": [dict(zip(found.by, group, strict=True)) | values(figures) for group, figures in rows],
        "total": values(found.total),
    }


def _as_csv(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]]) -> str:
    names = [column.name for column in COLUMNS] + ["cache_hit_share"]
    lines = [
        [*group, *("" if (value := values(figures).get(name)) is None else value for name in names)]
        for group, figures in (rows if found.by else [((), found.total)])
    ]
    return as_csv([*found.by, *names], lines)


def _as_markdown(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]]) -> str:
    names = figures_of(found)
    groups = [*rows, (_whole(found), found.total)]
    cells = [[*_shown(found, group), *(cell(each, name) for name in names)] for group, each in groups]
    return "\n".join(table(found.by, [title(name) for name in names], cells))


def _grid(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]], columns: int | None) -> Grid:
    """Return a table of the figures that fit, and of the cost over time if there is room for it."""
    names = figures_of(found)
    titles = [title(name) for name in names]
    has_trend = columns is not None and found.by and found.by[0] not in TIMES
    grid = Grid("", found.by, [*titles, _TREND] if has_trend else titles)
    for group, each in [*rows, (_whole(found), found.total)] if found.by else [((), found.total)]:
        grid.rows.append(
            [*_shown(found, group), *(cell(each, name) for name in names), *([_trend(each)] if has_trend else [])]
        )
    return grid.narrowed(columns, [*([_TREND] if has_trend else []), *reversed(titles[1:])])


def _shown(found: Breakdown, group: tuple[str, ...]) -> list[str]:
    return [shown(name, text) for name, text in zip(found.by, group, strict=True)]


def _whole(found: Breakdown) -> tuple[str, ...]:
    return ("total",) + ("",) * (len(found.by) - 1) if found.by else ()


def _trend(figures: Figures) -> str:
    highest = max(figures.steps)
    if not highest:
        return ""
    return "".join(" " if not step else _BARS[min(7, step * 8 // highest)] for step in figures.steps)
