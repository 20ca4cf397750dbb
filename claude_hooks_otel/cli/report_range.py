"""The report of a range of time: a row for each group, and the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from claude_hooks_otel.cli.console import complain, print_json, say, width
from claude_hooks_otel.cli.questions import opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.breakdown import COLUMNS, TIMES, Breakdown, Column, Figures, read_breakdown
from claude_hooks_otel.report.grid import Grid, as_csv
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.units import END_OF_TIME

FORMATS: Final = ("table", "json", "csv", "markdown")
# The columns of a table, the most important first. Those that do not fit the terminal are left out, from the end.
_SHOWN: Final = (
    "cost_usd", "output_tokens", "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_hit_share", "requests", "sessions",
    "active_seconds", "tool_calls", "lines_added", "lines_deleted", "commits", "tasks", "story_points", "errors",
)  # fmt: skip
# Smaller amounts are shown as smaller than this.
SMALLEST_DOLLARS: Final = 0.0001
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
    rows = _sorted(found, sort)[:top]
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


def _sorted(found: Breakdown, sort: str | None) -> list[tuple[tuple[str, ...], Figures]]:
    rows = sorted(found.rows.items())
    if sort is None and found.by and found.by[0] in TIMES:
        return rows
    column = sort or "cost_usd"
    return sorted(rows, key=lambda row: -row[1].amounts.get(column, 0))


def _as_json(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]], within: Range) -> dict[str, Any]:
    return {
        "since": within.local(within.since_ns).isoformat() if within.since_ns else None,
        "until": within.local(within.until_ns).isoformat() if within.until_ns < END_OF_TIME else None,
        "by": list(found.by),
        "rows": [dict(zip(found.by, group, strict=True)) | _values(figures) for group, figures in rows],
        "total": _values(found.total),
    }


def _values(figures: Figures) -> dict[str, float | None]:
    values = {column.name: value for column in COLUMNS if (value := figures.value(column)) is not None}
    return values | {"cache_hit_share": figures.cache_hit_share}


def _as_csv(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]]) -> str:
    names = [column.name for column in COLUMNS] + ["cache_hit_share"]
    lines = [
        [*group, *("" if (value := _values(figures).get(name)) is None else value for name in names)]
        for group, figures in (rows if found.by else [((), found.total)])
    ]
    return as_csv([*found.by, *names], lines)


def _as_markdown(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]]) -> str:
    names = _names(found)
    head = [*found.by, *(_title(name) for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(found.by)}{'---:|' * len(names)}"]
    for group, figures in [*rows, (_whole(found), found.total)]:
        cells = [*(text.replace("|", "\\|") for text in group), *(_cell(figures, name) for name in names)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _grid(found: Breakdown, rows: list[tuple[tuple[str, ...], Figures]], columns: int | None) -> Grid:
    """Return a table of the figures that fit, and of the cost over time if there is room for it."""
    names = _names(found)
    titles = [_title(name) for name in names]
    has_trend = columns is not None and found.by and found.by[0] not in TIMES
    grid = Grid("", found.by, [*titles, _TREND] if has_trend else titles)
    for group, each in [*rows, (_whole(found), found.total)] if found.by else [((), found.total)]:
        grid.rows.append([*group, *(_cell(each, name) for name in names), *([_trend(each)] if has_trend else [])])
    return grid.narrowed(columns, [*([_TREND] if has_trend else []), *reversed(titles[1:])])


def _whole(found: Breakdown) -> tuple[str, ...]:
    return ("total",) + ("",) * (len(found.by) - 1) if found.by else ()


def _names(found: Breakdown) -> list[str]:
    """Return the figures that any row has."""
    rows = found.rows.values() if found.by else [found.total]
    present = {name for figures in rows for name in figures.amounts}
    if any(figures.cache_hit_share is not None for figures in rows):
        present.add("cache_hit_share")
    return [name for name in _SHOWN if name in present]


def _title(name: str) -> str:
    if name == "cache_hit_share":
        return "cache hits"
    return next(column.title for column in COLUMNS if column.name == name)


def _cell(figures: Figures, name: str) -> str:
    if name == "cache_hit_share":
        share = figures.cache_hit_share
        return "–" if share is None else f"{share:.0%}"
    column = next(column for column in COLUMNS if column.name == name)
    value = figures.value(column)
    if column.unit == "usd":
        if not value and figures.amounts.get("unpriced_tokens"):
            return "unknown"
        return "–" if value is None else dollars(value)
    return "–" if not value else _number(value, column)


def _number(value: float, column: Column) -> str:
    if column.unit == "seconds":
        minutes = round(value / 60)
        return f"{minutes // 60} h {minutes % 60:02d}" if minutes >= 60 else f"{minutes} min"
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:,.1f}k" if value < 999_950 else f"{value / 1_000_000:,.1f}M"


def dollars(value: float) -> str:
    """Return an amount of US dollars for people."""
    if 0 < value < SMALLEST_DOLLARS:
        return f"<${SMALLEST_DOLLARS:.4f}"
    return f"${value:,.4f}" if 0 < value < 1 else f"${value:,.2f}"


def _trend(figures: Figures) -> str:
    highest = max(figures.steps)
    if not highest:
        return ""
    return "".join(" " if not step else _BARS[min(7, step * 8 // highest)] for step in figures.steps)
