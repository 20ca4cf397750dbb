"""The figures of a breakdown as people read them: which ones, in which order, and as texts. ``report`` and the page share this."""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.formats import dollars, duration, number, share
from claude_hooks_otel.report.breakdown import COLUMNS, TIMES, Breakdown, Column, Figures

# The columns of a table, the most important first.
SHOWN: Final = (
    "cost_usd", "output_tokens", "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_hit_share", "requests", "sessions",
    "active_seconds", "tool_calls", "lines_added", "lines_deleted", "commits", "tasks", "story_points", "errors",
)  # fmt: skip
# The share of input tokens that were read from the cache. It is no sum, so it is no column of a breakdown.
CACHE_HITS: Final = "cache_hit_share"

_BY_NAME: Final = {column.name: column for column in COLUMNS}


def sorted_rows(found: Breakdown, sort: str | None) -> list[tuple[tuple[str, ...], Figures]]:
    """Return the rows in the order of time, or else by a column, the largest first. By default, that is the cost."""
    rows = sorted(found.rows.items())
    if sort is None and found.by and found.by[0] in TIMES:
        return rows
    column = sort or "cost_usd"
    return sorted(rows, key=lambda row: -row[1].amounts.get(column, 0))


def values(figures: Figures) -> dict[str, float | None]:
    """Return the name of each figure → its value in its unit, with the share of cache hits."""
    found: dict[str, float | None] = {
        column.name: value for column in COLUMNS if (value := figures.value(column)) is not None
    }
    return found | {CACHE_HITS: figures.cache_hit_share}


def figures_of(found: Breakdown) -> list[str]:
    """Return the names of the figures that any row has, the most important first."""
    rows = found.rows.values() if found.by else [found.total]
    present = {name for figures in rows for name in figures.amounts}
    if any(figures.cache_hit_share is not None for figures in rows):
        present.add(CACHE_HITS)
    return [name for name in SHOWN if name in present]


def title(name: str) -> str:
    """Return the title of a figure in a table."""
    return "cache hits" if name == CACHE_HITS else _BY_NAME[name].title


def cell(figures: Figures, name: str) -> str:
    """Return a figure of a report as a text."""
    if name == CACHE_HITS:
        return share(figures.cache_hit_share)
    return figure_text(figures, _BY_NAME[name])


def figure_text(figures: Figures, column: Column) -> str:
    """Return any figure as a text: a dash if there is none or, but for dollars, if it is zero."""
    value = figures.value(column)
    if column.unit == "usd":
        if not value and figures.amounts.get("unpriced_tokens"):
            return "unknown"
        return "–" if value is None else dollars(value)
    if not value:
        return "–"
    return duration(value) if column.unit == "seconds" else number(value)
