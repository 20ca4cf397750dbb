"""The figures of a range, by day, agent, model and other groups. Every figure of the rows adds up to the figure of the whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import Labels, normalize
from claude_hooks_otel.report.daily_sums import DailySums
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.series.aggregates import Aggregate, read_aggregates, read_session_aggregates
from claude_hooks_otel.units import DAY


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a report: a sum over metrics.

    Attributes:
        name: its name in JSON and CSV, which ``--sort`` takes.
        title: its name in a table.
        parts: each metric with the labels that count.
        unit: ``usd``, ``tokens``, ``seconds`` or ``count``.
        is_number: whether it is how many observations a histogram has, and not their sum.
    """

    name: str
    title: str
    parts: tuple[tuple[Metric, Mapping[str, str]], ...]
    unit: str = "count"
    is_number: bool = False

    def has(self, metric_name: str, labels: Mapping[str, str]) -> bool:
        """Return whether a sum of a metric belongs to this figure."""
        return any(metric.name == metric_name and wanted.items() <= labels.items() for metric, wanted in self.parts)

    def is_divided_by(self, group: str) -> bool:
        """Return whether every part of this figure has a value in a group. Sessions, for example, have no model."""
        return (
            group in TIMES
            or group in OF_SESSIONS
            or all(LABELS[group] in metric.all_labels for metric, _ in self.parts)
        )

    @property
    def scale(self) -> int:
        """Stored units per unit of the figure."""
        return 1 if self.is_number else self.parts[0][0].scale


def _all(metric: Metric, **labels: str) -> tuple[tuple[Metric, Mapping[str, str]], ...]:
    return ((metric, labels),)


COLUMNS: Final[tuple[Column, ...]] = (
    Column("cost_usd", "cost", _all(catalog.COST), "usd"),
    Column("input_tokens", "input", _all(catalog.TOKENS_INPUT, cache="none"), "tokens"),
    Column("cache_read_tokens", "read", _all(catalog.TOKENS_INPUT, cache="read"), "tokens"),
    Column(
        "cache_write_tokens",
        "written",
        (*_all(catalog.TOKENS_INPUT, cache="write_5m"), *_all(catalog.TOKENS_INPUT, cache="write_1h")),
        "tokens",
    ),
    Column("output_tokens", "output", _all(catalog.TOKENS_OUTPUT), "tokens"),
    Column("unpriced_tokens", "unpriced", _all(catalog.UNPRICED_TOKENS), "tokens"),
    Column("requests", "requests", _all(catalog.API_REQUESTS)),
    Column("sessions", "sessions", _all(catalog.SESSIONS)),
    Column("prompts", "prompts", _all(catalog.PROMPTS)),
    Column("active_seconds", "active", _all(catalog.ACTIVE_TIME), "seconds"),
    Column("tool_calls", "calls", _all(catalog.TOOL_CALLS)),
    Column("lines_added", "added", _all(catalog.LINES_ADDED)),
    Column("lines_deleted", "deleted", _all(catalog.LINES_DELETED)),
    Column("commits", "commits", _all(catalog.COMMITS)),
    Column("tasks", "tasks", _all(catalog.TASKS_COMPLETED)),
    Column("story_points", "points", _all(catalog.STORY_POINTS)),
    Column(
        "errors",
        "errors",
        (*_all(catalog.API_REQUESTS, outcome="error"), *_all(catalog.TOOL_CALLS, outcome="error")),
    ),
)


# The value of a group for what has no such label, for example no team.
NONE: Final = "none"
# Groups that are properties of a session. What belongs to no session, or to a deleted one, is in the row NONE.
OF_SESSIONS: Final = ("session", "branch")
# Name of a group → the key of its label.
LABELS: Final = {
    "agent": "agent",
    "project": "project",
    "team": "team",
    "sprint": "sprint",
    "user": "user",
    "machine": "machine",
    "organization": "organization",
    "model": "model",
    "agent-type": "agent_type",
    "tool": "tool",
    "file-type": "file_type",
    "task": "task_type",
}


def _by_time(text: Callable[[datetime], str]) -> Callable[[Aggregate, Mapping[str, str], Range], str]:
    return lambda aggregate, _, within: text(within.local(aggregate.begin_ns))


def _by_label(key: str) -> Callable[[Aggregate, Mapping[str, str], Range], str]:
    return lambda _, labels, __: labels.get(key, NONE)


# Name of a group → the value of a sum in it.
GROUPS: Final[dict[str, Callable[[Aggregate, Mapping[str, str], Range], str]]] = {
    "hour": _by_time(lambda moment: f"{moment:%Y-%m-%d %H}:00"),
    "day": _by_time(lambda moment: f"{moment:%Y-%m-%d}"),
    "week": _by_time(lambda moment: f"{moment:%G-W%V}"),
    "month": _by_time(lambda moment: f"{moment:%Y-%m}"),
    **{name: _by_label(key) for name, key in LABELS.items()},
    **{name: _by_label(name) for name in OF_SESSIONS},
}
# Groups of time: every sum has a value in them, and their rows are in order of time.
TIMES: Final = ("hour", "day", "week", "month")
# How many steps a sparkline has.
STEPS: Final = 24


@dataclass(slots=True)
class Figures:
    """The figures of one group.

    Attributes:
        amounts: column's name → amount in stored units. A column that has no such group is missing.
        steps: the cost in equal parts of the range, in stored units, for a sparkline.
    """

    amounts: dict[str, int] = field(default_factory=dict)
    steps: list[int] = field(default_factory=lambda: [0] * STEPS)

    def value(self, column: Column) -> float | None:
        """Return a figure in its unit; None if the group has no such figure."""
        amount = self.amounts.get(column.name)
        return None if amount is None else amount / column.scale

    @property
    def cache_hit_share(self) -> float | None:
        """The share of input tokens that were read from the prompt cache, from 0 to 1; None without input."""
        read = self.amounts.get("cache_read_tokens", 0)
        whole = read + sum(self.amounts.get(name, 0) for name in ("input_tokens", "cache_write_tokens"))
        return read / whole if whole else None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A report over a range.

    Attributes:
        by: the names of its groups, at most two.
        rows: the group's values → its figures.
        total: the figures of everything in the range.
        columns: the figures that were asked for.
    """

    by: tuple[str, ...]
    rows: dict[tuple[str, ...], Figures]
    total: Figures
    columns: tuple[Column, ...] = COLUMNS

    def differences(self) -> dict[str, int]:
        """Return column's name → what the rows lack of the total, for every figure that the rows have; empty if all adds up."""
        found = {}
        for column in self.columns:
            parts = [row.amounts[column.name] for row in self.rows.values() if column.name in row.amounts]
            if parts and (difference := self.total.amounts.get(column.name, 0) - sum(parts)):
                found[column.name] = difference
        return found


def read_breakdown(
    connection: sqlite3.Connection,
    within: Range,
    *,
    by: Sequence[str] = (),
    only: Mapping[str, Sequence[str]] | None = None,
) -> Breakdown:
    """Return the figures of a range in a store. The arguments are those of ``break_down``."""
    if not {*by, *(only or {})} & set(OF_SESSIONS):
        # A long range has many half hours. By day, SQLite adds them up much faster, and a sparkline needs no more.
        is_long = within.until_ns - within.since_ns > STEPS * DAY and "hour" not in {*by, *(only or {})}
        aggregates: Iterable[Aggregate] = (
            DailySums().read(connection, within)
            if is_long
            else read_aggregates(connection, within.since_ns, within.until_ns)
        )
        return break_down(aggregates, within, by=by, only=only)
    branches = "SELECT session_id, branch, MAX(started_ns) FROM turn WHERE branch IS NOT NULL GROUP BY session_id"
    branch = {session_id: name for session_id, name, _ in connection.execute(branches)}
    of_sessions = {
        session_id: {"session": session_id, "branch": branch.get(session_id, NONE)}
        for (session_id,) in connection.execute("SELECT DISTINCT session_id FROM session_aggregate")
    }
    aggregates = read_session_aggregates(connection, within.since_ns, within.until_ns)
    return break_down(aggregates, within, by=by, only=only, of_sessions=of_sessions)


def break_down(
    aggregates: Iterable[Aggregate],
    within: Range,
    *,
    by: Sequence[str] = (),
    only: Mapping[str, Sequence[str]] | None = None,
    columns: Sequence[Column] = COLUMNS,
    of_sessions: Mapping[str, Mapping[str, str]] | None = None,
) -> Breakdown:
    """Return the figures of a range.

    Args:
        aggregates: the sums of the range, as ``read_aggregates`` yields them.
        within: the range.
        by: the names of at most two groups (GROUPS). A figure that one of them does not divide, such as sessions by model, is only in the total.
        only: name of a group → the values that count. Figures that the group does not divide are left out.
        columns: the figures.
        of_sessions: session id → its values of the groups OF_SESSIONS.
    """
    kinds = _Kinds(within, by, only or {}, columns, of_sessions or {})
    rows: dict[tuple[str, ...], Figures] = {}
    total = Figures()
    moments: list[tuple[int, Figures, int]] = []
    for aggregate in aggregates:
        if aggregate.metric not in kinds.metrics:
            continue
        found = kinds.columns(aggregate)
        if not found or (group := kinds.group(aggregate)) is None:
            continue
        for column, is_in_rows in found:
            amount = aggregate.count if column.is_number else aggregate.value
            whole = [total]
            if is_in_rows:
                if (row := rows.get(group)) is None:
                    row = rows[group] = Figures()
                whole.append(row)
            for figures in whole:
                figures.amounts[column.name] = figures.amounts.get(column.name, 0) + amount
                if column.name == "cost_usd":
                    moments.append((aggregate.begin_ns, figures, amount))
    _fill_steps(moments, within)
    return Breakdown(tuple(by), rows, total, tuple(columns))


class _Kinds:
    """What the sums of one metric with the same labels have in common. A range has many half hours, but few of these kinds.

    Attributes:
        metrics: the metrics that any figure has.
    """

    def __init__(
        self,
        within: Range,
        by: Sequence[str],
        only: Mapping[str, Sequence[str]],
        columns: Sequence[Column],
        of_sessions: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._within, self._by, self._of_sessions = within, by, of_sessions
        # A session's values are not normalized.
        self._filters = {name: {*values, *map(normalize, values)} for name, values in only.items() if values}
        self._counted = [column for column in columns if all(column.is_divided_by(name) for name in self._filters)]
        self._has_times = any(name in TIMES for name in (*by, *self._filters))
        self._columns: dict[tuple[str, Labels], list[tuple[Column, bool]]] = {}
        self._groups: dict[tuple[Labels, str], tuple[str, ...] | None] = {}
        self._times: dict[tuple[str, int], str] = {}
        self.metrics = {metric.name for column in self._counted for metric, _ in column.parts}

    def columns(self, aggregate: Aggregate) -> list[tuple[Column, bool]]:
        """Return the figures that a sum belongs to, and whether the rows have them."""
        found = self._columns.get((aggregate.metric, aggregate.labels))
        if found is None:
            labels = dict(aggregate.labels)
            own = [column for column in self._counted if column.has(aggregate.metric, labels)]
            found = [(column, bool(self._by) and all(map(column.is_divided_by, self._by))) for column in own]
            self._columns[aggregate.metric, aggregate.labels] = found
        return found

    def group(self, aggregate: Aggregate) -> tuple[str, ...] | None:
        """Return the row of a sum; None if a filter leaves it out."""
        if self._has_times:
            return self._group(aggregate)
        key = aggregate.labels, aggregate.session_id
        if key not in self._groups:
            self._groups[key] = self._group(aggregate)
        return self._groups[key]

    def _group(self, aggregate: Aggregate) -> tuple[str, ...] | None:
        labels = {**dict(aggregate.labels), **self._of_sessions.get(aggregate.session_id, {})}
        if any(self._value(name, aggregate, labels) not in values for name, values in self._filters.items()):
            return None
        return tuple([self._value(name, aggregate, labels) for name in self._by])

    def _value(self, name: str, aggregate: Aggregate, labels: Mapping[str, str]) -> str:
        if name not in TIMES:
            return GROUPS[name](aggregate, labels, self._within)
        key = name, aggregate.begin_ns
        if (text := self._times.get(key)) is None:  # a time zone is slow
            text = self._times[key] = GROUPS[name](aggregate, labels, self._within)
        return text


def _fill_steps(moments: list[tuple[int, Figures, int]], within: Range) -> None:
    if not moments:
        return
    first = max(within.since_ns, min(at_ns for at_ns, _, _ in moments))
    behind = min(within.until_ns, max(at_ns for at_ns, _, _ in moments) + 1)
    for at_ns, figures, amount in moments:
        step = (max(at_ns, first) - first) * STEPS // max(1, behind - first)
        figures.steps[min(STEPS - 1, step)] += amount
