"""The sessions in the store: the list, and one session as a timeline."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.series.aggregates import whole_buckets
from claude_hooks_otel.units import DOLLAR, END_OF_TIME, SECOND

# Signs of the first prompt that the list shows, where prompts are kept at all.
FIRST_WORDS: Final = 60

# With MAX, SQLite takes the other columns from the row that has it.
_LIST: Final = """
WITH used AS (
    SELECT session_id, COUNT(*) AS requests, SUM(cost) AS cost, SUM(output_tokens) AS output, model, MAX(at_ns) AS at_ns,
        SUM(COALESCE(input_tokens, 0) + COALESCE(cache_read_tokens, 0) + COALESCE(cache_write_5m_tokens, 0)
            + COALESCE(cache_write_1h_tokens, 0)) AS input
    FROM api_request WHERE error IS NULL AND {one} GROUP BY session_id
), other AS (
    SELECT session_id, SUM(cost) AS cost FROM auxiliary_usage WHERE {one} GROUP BY session_id
), prompted AS (
    SELECT session_id, COUNT(*) AS turns, branch, MAX(started_ns) FROM turn WHERE {one} GROUP BY session_id
), run AS (
    SELECT session_id, ended_ns, end_reason, MAX(started_ns) FROM session_run WHERE {one} GROUP BY session_id
)
SELECT s.session_id, s.first_seen_ns, MAX(s.last_seen_ns, COALESCE(used.at_ns, 0), COALESCE(run.ended_ns, 0)) AS seen_ns, s.agent, s.project, prompted.branch, COALESCE(used.model, s.model),
    COALESCE(prompted.turns, 0), COALESCE(used.requests, 0), COALESCE(used.input, 0), COALESCE(used.output, 0),
    used.cost, other.cost, run.ended_ns, run.end_reason, imported_session.session_id IS NOT NULL
FROM session s
LEFT JOIN used USING (session_id) LEFT JOIN other USING (session_id) LEFT JOIN prompted USING (session_id)
LEFT JOIN run USING (session_id) LEFT JOIN imported_session USING (session_id)
WHERE s.{one} AND seen_ns >= :since AND s.first_seen_ns < :until
ORDER BY s.first_seen_ns DESC
"""
_FIRST_WORDS: Final = """
SELECT turn.session_id, content.texts FROM content JOIN turn ON turn.prompt_id = content.owner_id
WHERE turn.{one} AND content.texts LIKE '%"text"%' ORDER BY content.at_ns
"""
# Which sessions a query is about.
_EACH, _ONE = "session_id IS NOT NULL", "session_id = :session"
# What ``read_spending`` can be asked for, in the order of the columns of its query.
SPENDING_GROUPS: Final = ("agent", "project", "team", "sprint", "model", "agent-type")
_SPENDING: Final = """
SELECT session_id, agent, project, team, sprint, model, agent_type, SUM(requests), SUM(tokens_in), SUM(output_tokens), SUM(cost) FROM (
    SELECT session_id, agent, project, team, sprint, model, agent_type, 1 AS requests, output_tokens, cost,
        COALESCE(input_tokens, 0) + COALESCE(cache_read_tokens, 0) + COALESCE(cache_write_5m_tokens, 0)
            + COALESCE(cache_write_1h_tokens, 0) AS tokens_in
    FROM api_request WHERE at_ns >= :since AND at_ns < :until AND error IS NULL
    UNION ALL
    SELECT usage.session_id, usage.agent, usage.project, usage.team, usage.sprint, usage.model, 'auxiliary', 0, usage.output_tokens, usage.cost,
        COALESCE(usage.input_tokens, 0) + COALESCE(usage.cache_read_tokens, 0) + COALESCE(usage.cache_write_5m_tokens, 0)
            + COALESCE(usage.cache_write_1h_tokens, 0)
    FROM auxiliary_usage usage JOIN session USING (session_id) LEFT JOIN imported_session USING (session_id)
    WHERE COALESCE(usage.at_ns, IIF(imported_session.session_id IS NULL, session.last_seen_ns, session.first_seen_ns)) >= :since
        AND COALESCE(usage.at_ns, IIF(imported_session.session_id IS NULL, session.last_seen_ns, session.first_seen_ns)) < :until
) GROUP BY session_id, agent, project, team, sprint, model, agent_type
"""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the list. Times are Unix nanoseconds, the cost is in US dollars.

    Attributes:
        session_id: its id.
        began_ns: when it was first seen.
        seen_ns: when it was last seen.
        agent: who worked.
        project: on what.
        branch: the git branch of its last prompt; None if it is unknown.
        model: the model of its last request; None without any.
        turns: its prompts.
        requests: answers of the API.
        tokens_in: all input, also from the cache.
        tokens_out: output.
        cost: what it cost; None if no price is known.
        outcome: the client's reason for the end, ``killed``, ``open``, or ``imported`` if only its transcript is known.
        first_words: how its first prompt begins; None unless the owner lets prompts be kept.
    """

    session_id: str
    began_ns: int
    seen_ns: int
    agent: str | None
    project: str | None
    branch: str | None
    model: str | None
    turns: int
    requests: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    outcome: str
    first_words: str | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What a session used within a range. The cost is in picodollars; None if no price is known."""

    requests: int
    tokens_in: int
    tokens_out: int
    cost: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened in a session.

    Attributes:
        at_ns: when, Unix nanoseconds.
        kind: ``start``, ``turn``, ``request``, ``tool``, ``wait``, ``subagent``, ``compaction``, ``commit`` or ``end``.
        who: the type of the agent: ``main``, or that of the sub-agent.
        what: a few words.
        seconds: how long it took; None if that is unknown.
        cost: what it cost in US dollars; None if it has no cost, or no known one.
    """

    at_ns: int
    kind: str
    who: str
    what: str
    seconds: float | None = None
    cost: float | None = None


def read_sessions(
    connection: sqlite3.Connection, within: Range, *, agent: str | None = None, project: str | None = None
) -> list[SessionRow]:
    """Return the sessions that were open in a range, the newest first.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    wanted = {key: normalize(value) for key, value in (("agent", agent), ("project", project)) if value}
    found = _read(connection, _EACH, {"since": within.since_ns, "until": within.until_ns})
    return [row for row in found if all(normalize(getattr(row, name)) == value for name, value in wanted.items())]


def read_session(connection: sqlite3.Connection, session_id: str) -> SessionRow | None:
    """Return one session; None if it is unknown.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    return next(iter(_read(connection, _ONE, {"since": 0, "until": END_OF_TIME, "session": session_id})), None)


def _read(connection: sqlite3.Connection, which: str, parameters: Mapping[str, str | int]) -> list[SessionRow]:
    words: dict[str, str] = {}
    for session_id, texts in connection.execute(_FIRST_WORDS.format(one=which), parameters):
        words.setdefault(session_id, _beginning(texts))
    rows = connection.execute(_LIST.format(one=which), parameters)
    return [_row(*row, words.get(row[0])) for row in rows]


def read_spending(
    connection: sqlite3.Connection, within: Range, only: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Spending]:
    """Return what each session used within a range: session id → its part of the figures of ``break_down``.

    Like those figures, it is exact to the half hour. The client's own requests, which have no time, count when their session ended; those
    of an imported session when it began.

    Args:
        connection: the store, opened for reading.
        within: the range.
        only: name of a group (SPENDING_GROUPS) → the values that count.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    wanted = [
        (SPENDING_GROUPS.index(name), {normalize(value) for value in values})
        for name, values in (only or {}).items()
        if values
    ]
    since_ns, until_ns = whole_buckets(within.since_ns, within.until_ns)
    found: dict[str, list[int | None]] = {}
    rows = connection.execute(_SPENDING, {"since": since_ns, "until": until_ns})
    for session_id, *groups, requests, tokens_in, tokens_out, cost in rows:
        if all(normalize(groups[place]) in values for place, values in wanted):
            sums = found.setdefault(session_id, [0, 0, 0, None])
            for place, amount in enumerate((requests, tokens_in, tokens_out, cost)):
                if amount is not None:
                    sums[place] = (sums[place] or 0) + amount
    return {session_id: Spending(*sums) for session_id, sums in found.items()}  # type: ignore[arg-type]  # only the cost can be None


def sessions_with_tool(connection: sqlite3.Connection, within: Range, tools: Sequence[str]) -> set[str]:
    """Return the sessions that called one of these tools in a range, exact to the half hour.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    wanted = {normalize(tool) for tool in tools}
    rows = connection.execute(
        "SELECT DISTINCT session_id, tool FROM tool_call WHERE outcome IS NOT NULL AND COALESCE(ended_ns, started_ns) >= ?"
        " AND COALESCE(ended_ns, started_ns) < ?",
        whole_buckets(within.since_ns, within.until_ns),
    )
    return {session_id for session_id, tool in rows if normalize(tool) in wanted}


def find_session(connection: sqlite3.Connection, beginning: str) -> list[str]:
    """Return the ids that begin with a text; only the id itself if it is whole."""
    ids = [
        session_id
        for (session_id,) in connection.execute(
            "SELECT session_id FROM session WHERE substr(session_id, 1, ?) = ? ORDER BY first_seen_ns",
            (len(beginning), beginning),
        )
    ]
    return [beginning] if beginning in ids else ids


def read_timeline(connection: sqlite3.Connection, session_id: str) -> list[Step]:
    """Return what happened in a session, in order of time. What has no time is left out.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    steps = [
        step
        for kind, describe in _DESCRIBED.items()
        for fact in _select(connection, kind, session_id)
        for step in describe(fact)
        if step.at_ns
    ]
    return sorted(steps, key=lambda step: step.at_ns)


def _row(*row: Any) -> SessionRow:
    *first, cost, other_cost, ended_ns, reason, is_imported, words = row
    costs = [part for part in (cost, other_cost) if part is not None]
    outcome = reason or ("imported" if is_imported else "open" if ended_ns is None else "ended")
    values = [*first, sum(costs) / DOLLAR if costs else None, outcome, words]
    return SessionRow(*values)


def _beginning(texts: str) -> str:
    """Return how the text of a prompt begins."""
    for each in json.loads(texts).values():
        if isinstance(each, dict) and (text := each.get("text")):
            words = " ".join(str(text).split())
            return words if len(words) <= FIRST_WORDS else f"{words[: FIRST_WORDS - 1]}…"
    return ""


def _select(connection: sqlite3.Connection, kind: type[model.Fact], session_id: str) -> Iterator[Any]:
    names: Sequence[str] = kind.SHAPE.names
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM {TABLES[kind].name} WHERE session_id = ?",  # noqa: S608 — our own names
        (session_id,),
    )
    for row in rows:
        yield kind(**dict(zip(names, row, strict=True)))


def _run(fact: model.SessionRun) -> Iterator[Step]:
    yield Step(fact.started_ns, "start", "main", fact.source or "")
    yield Step(fact.ended_ns or 0, "end", "main", fact.end_reason or "")


def _turn(fact: model.Turn) -> Iterator[Step]:
    branch = f" on {fact.branch}" if fact.branch else ""
    words = f"prompt{branch}" + (f", {fact.failure}" if fact.failure else "")
    yield Step(fact.started_ns or 0, "turn", "main", words, _seconds(fact.active_ns))


def _request(fact: model.ApiRequest) -> Iterator[Step]:
    parts = (fact.input_tokens, fact.cache_read_tokens, fact.cache_write_5m_tokens, fact.cache_write_1h_tokens)
    tokens = f"{sum(part or 0 for part in parts):,} → {fact.output_tokens or 0:,} tokens"
    what = f"{fact.model or 'unknown'}: {fact.error or tokens}"
    yield Step(fact.at_ns or 0, "request", fact.agent_type or "main", what, cost=_dollars(fact.cost))


def _tool(fact: model.ToolCall) -> Iterator[Step]:
    at_ns = fact.started_ns or fact.ended_ns or 0
    what = f"{fact.tool or 'unknown'}: {fact.outcome or 'running'}"
    yield Step(at_ns, "tool", fact.agent_type or "main", what, _seconds(fact.duration_ns))


def _wait(fact: model.PermissionWait) -> Iterator[Step]:
    what = f"permission for {fact.tool or 'a tool'}: {fact.decision or 'no answer'}"
    yield Step(fact.asked_ns, "wait", "main", what, _seconds(fact.waited_ns))


def _subagent(fact: model.SubagentTurn) -> Iterator[Step]:
    length = fact.ended_ns - fact.started_ns if fact.ended_ns and fact.started_ns else None
    who = fact.agent_type or "unknown"
    yield Step(fact.started_ns or fact.ended_ns, "subagent", who, fact.outcome or "running", _seconds(length))


def _compaction(fact: model.CompactBoundary) -> Iterator[Step]:
    yield Step(fact.at_ns or 0, "compaction", "main", fact.trigger or "")


def _commit(fact: model.GitCommit) -> Iterator[Step]:
    yield Step(fact.at_ns or 0, "commit", "main", fact.sha[:12])


def _other_usage(fact: model.AuxiliaryUsage) -> Iterator[Step]:
    tokens = f"{fact.input_tokens or 0:,} → {fact.output_tokens or 0:,} tokens"
    yield Step(fact.at_ns or 0, "request", "client", f"{fact.model}: {tokens}", cost=_dollars(fact.cost))


_DESCRIBED: Final[Mapping[type[model.Fact], Callable[[Any], Iterator[Step]]]] = {
    model.SessionRun: _run,
    model.Turn: _turn,
    model.ApiRequest: _request,
    model.AuxiliaryUsage: _other_usage,
    model.ToolCall: _tool,
    model.PermissionWait: _wait,
    model.SubagentTurn: _subagent,
    model.CompactBoundary: _compaction,
    model.GitCommit: _commit,
}


def _seconds(length_ns: int | None) -> float | None:
    return None if length_ns is None else length_ns / SECOND


def _dollars(cost: int | None) -> float | None:
    return None if cost is None else cost / DOLLAR
