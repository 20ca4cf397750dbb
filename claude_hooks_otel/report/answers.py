"""Answers for agents: the figures of the store as small objects, for ``mcp``. None contains a prompt unless its owner keeps prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any, Final

from pydantic import BaseModel

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.report.breakdown import COLUMNS, GROUPS, Figures, read_breakdown
from claude_hooks_otel.report.budgets import as_json, budgets, title
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.report.sessions import Step, find_session, read_sessions, read_timeline
from claude_hooks_otel.series.aggregates import Aggregate, read_aggregates
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import END_OF_TIME, SECOND

# The most rows of an answer.
MOST_ROWS: Final = 50
MOST_GROUPS: Final = 2
_FAILURES: Final = ("error", "rejected", "denied", "interrupted", "invalid")

Value = str | float | int | bool | None


class QuestionError(ValueError):
    """A question that cannot be answered. The message says what is expected."""


class UsageAnswer(BaseModel):
    """What a range cost and used.

    Attributes:
        since: its first moment, ISO 8601; None without a beginning.
        until: the moment after its last one; None without an end.
        total: the figures of the whole range. Amounts are US dollars at list prices, times are seconds.
        rows: the figures of each group, the most expensive first.
        rows_left_out: how many rows are missing. ``total`` counts them.
    """

    since: str | None
    until: str | None
    total: dict[str, Value]
    rows: list[dict[str, Value]]
    rows_left_out: int


class SessionsAnswer(BaseModel):
    """The sessions that were open in a range, the newest first.

    Attributes:
        sessions: for each its id, times (ISO 8601), agent, project, branch, model, counts, cost in US dollars (None if unknown) and outcome.
        left_out: how many older ones are missing.
    """

    sessions: list[dict[str, Value]]
    left_out: int


class SessionAnswer(BaseModel):
    """One session as a timeline.

    Attributes:
        session_id: its whole id.
        cost_usd: what it has cost.
        requests: answers of the API.
        tool_calls: calls of tools.
        steps: what happened, in order of time. Each has time, kind, who, what, seconds and cost.
        next_step: ``first_step`` of the next question; None if these are the last steps.
    """

    session_id: str
    cost_usd: float
    requests: int
    tool_calls: int
    steps: list[dict[str, Value]]
    next_step: int | None


class ToolsAnswer(BaseModel):
    """Tools with their calls.

    Attributes:
        tools: the slowest, or those that fail most often, first.
        left_out: how many tools are missing.
    """

    tools: list[dict[str, Value]]
    left_out: int


class BudgetsAnswer(BaseModel):
    """Every budget in its present period.

    Attributes:
        budgets: the fields of ``budgets --json``, with the name as a person reads it.
    """

    budgets: list[dict[str, Value]]


def usage(connection: Connection, within: Range, by: Sequence[str], only: Mapping[str, str], top: int) -> UsageAnswer:
    """Return the figures of a range, as ``report`` has them.

    Raises:
        QuestionError: a group does not exist, or there are too many.
    """
    for name in (*by, *only):
        if name not in GROUPS:
            raise QuestionError(f"There is no group {name!r}. These are known: {', '.join(GROUPS)}.")
    if len(by) > MOST_GROUPS or len(set(by)) != len(by):
        raise QuestionError("by takes one group, or two different ones.")
    found = read_breakdown(connection, within, by=by, only={name: [value] for name, value in only.items()})
    rows = sorted(found.rows.items(), key=lambda row: (-row[1].amounts.get("cost_usd", 0), row[0]))
    return UsageAnswer(
        since=_time(within, within.since_ns) if within.since_ns else None,
        until=_time(within, within.until_ns) if within.until_ns < END_OF_TIME else None,
        total=_figures(found.total),
        rows=[dict(zip(by, group, strict=True)) | _figures(figures) for group, figures in rows[:top]],
        rows_left_out=max(0, len(rows) - top),
    )


def sessions(
    connection: Connection, within: Range, config: Config, agent: str | None, project: str | None, top: int
) -> SessionsAnswer:
    """Return the list of sessions. How a prompt begins is in it only if ``[capture] prompts`` is on."""
    rows = read_sessions(connection, within, agent=agent, project=project)
    shown = []
    for row in rows[:top]:
        values = asdict(row)
        values["began"], values["seen"] = (_time(within, values.pop(name)) for name in ("began_ns", "seen_ns"))
        values["cost_usd"] = values.pop("cost")
        if not config.capture.prompts:
            del values["first_words"]
        shown.append(values)
    return SessionsAnswer(sessions=shown, left_out=max(0, len(rows) - top))


def session(connection: Connection, beginning: str, first_step: int, top: int) -> SessionAnswer:
    """Return a session.

    Raises:
        QuestionError: no session, or more than one, has an id with this beginning.
    """
    ids = find_session(connection, beginning) if beginning else []
    if not ids:
        raise QuestionError(f"There is no session {beginning[:64]!r}. The tool sessions lists all.")
    if len(ids) > 1:
        raise QuestionError(f"{len(ids)} sessions begin with {beginning!r}. Write more of the id.")
    steps = read_timeline(connection, ids[0])
    behind = first_step + top
    return SessionAnswer(
        session_id=ids[0],
        cost_usd=sum(step.cost or 0 for step in steps),
        requests=sum(step.kind == "request" for step in steps),
        tool_calls=sum(step.kind == "tool" for step in steps),
        steps=[_step(step) for step in steps[first_step:behind]],
        next_step=behind if behind < len(steps) else None,
    )


def slow_tools(connection: Connection, within: Range, only: Mapping[str, str], top: int) -> ToolsAnswer:
    """Return the tools whose calls took the most time in a range."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each, labels in _aggregates(connection, within, only, catalog.TOOL_DURATION.name):
        both = sums[labels.get("tool", "unknown")]
        both[0] += each.value
        both[1] += each.count
    ranked = sorted(sums.items(), key=lambda tool: (-tool[1][0], tool[0]))
    tools: list[dict[str, Value]] = [
        {"tool": name, "timed_calls": count, "total_seconds": whole / SECOND, "mean_seconds": whole / SECOND / count}
        for name, (whole, count) in ranked[:top]
    ]
    return ToolsAnswer(tools=tools, left_out=max(0, len(ranked) - top))


def failing_tools(connection: Connection, within: Range, only: Mapping[str, str], top: int) -> ToolsAnswer:
    """Return the tools with calls that did not succeed in a range, those with the most errors first."""
    sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each, labels in _aggregates(connection, within, only, catalog.TOOL_CALLS.name):
        sums[labels.get("tool", "unknown")][labels.get("outcome", "unknown")] += each.value
    failing = {name: outcomes for name, outcomes in sums.items() if any(outcomes[each] for each in _FAILURES)}
    ranked = sorted(
        failing.items(), key=lambda tool: (-tool[1]["error"], -sum(tool[1][each] for each in _FAILURES), tool[0])
    )
    tools: list[dict[str, Value]] = [
        {
            "tool": name,
            "calls": sum(outcomes.values()),
            **{each: outcomes[each] for each in _FAILURES if outcomes[each]},
            "error_share": outcomes["error"] / sum(outcomes.values()),
        }
        for name, outcomes in ranked[:top]
    ]
    return ToolsAnswer(tools=tools, left_out=max(0, len(ranked) - top))


def budget_states(connection: Connection, config: Config, now_ns: int) -> BudgetsAnswer:
    """Return every budget."""
    states = budgets(connection, config, now_ns)
    return BudgetsAnswer(budgets=[{"title": title(state), **as_json(state)} for state in states])


def _aggregates(
    connection: Connection, within: Range, only: Mapping[str, str], metric: str
) -> list[tuple[Aggregate, dict[str, str]]]:
    found = (
        (each, dict(each.labels))
        for each in read_aggregates(connection, within.since_ns, within.until_ns)
        if each.metric == metric
    )
    return [(each, labels) for each, labels in found if only.items() <= labels.items()]


def _figures(figures: Figures) -> dict[str, Value]:
    values: dict[str, Any] = {column.name: figures.value(column) for column in COLUMNS}
    values["cache_hit_share"] = figures.cache_hit_share
    return {name: value for name, value in values.items() if value is not None}


def _step(step: Step) -> dict[str, Value]:
    at = datetime.fromtimestamp(step.at_ns / SECOND, UTC).isoformat(timespec="milliseconds")
    values = {
        "at": at,
        "kind": step.kind,
        "who": step.who,
        "what": step.what,
        "seconds": step.seconds,
        "cost_usd": step.cost,
    }
    return {name: value for name, value in values.items() if value is not None}


def _time(within: Range, at_ns: int) -> str:
    return within.local(at_ns).isoformat(timespec="seconds")
