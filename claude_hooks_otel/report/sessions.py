"""The sessions in the store: the list, and one session as a timeline."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import encode_labels, normalize
from claude_hooks_otel.report.breakdown import LABELS
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.series.aggregates import buckets
from claude_hooks_otel.store.connection import portions
from claude_hooks_otel.units import DOLLAR, END_OF_TIME, SECOND

# Signs of the first prompt that the list shows, where prompts are kept at all.
FIRST_WORDS: Final = 60

# With MAX, SQLite takes the other columns from the row that has it.
_LIST: Final = """
WITH used AS (
    SELECT session_id, COUNT(*) AS requests, SUM(cost) AS cost, SUM(output_tokens) AS output, model, MAX(at_ns) AS at_ns,
        SUM(COALESCE(input_tokens, 0) + COALESCE(cache_read_tokens, 0) + COALESCE(cache_write_5m_tokens, 0)
            + COALESCE(cache_write_1h_tokens, 0)) AS input
    FROM api_request WHERE error IS NULL AND {one} GROUP BY +session_id
), other AS (
    SELECT session_id, SUM(cost) AS cost FROM auxiliary_usage WHERE {one} GROUP BY +session_id
), prompted AS (
    SELECT session_id, COUNT(*) AS turns, branch, MAX(started_ns) FROM turn WHERE {one} GROUP BY +session_id
), run AS (
    SELECT session_id, ended_ns, end_reason, MAX(started_ns) FROM session_run WHERE {one} GROUP BY +session_id
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
# A query about all sessions. The sign keeps SQLite from following the index to each row, which takes three times as long.
_EACH: Final = "session_id IS NOT NULL"
# The sums of each session have the half hours and the labels of the sums of a report.
_SPENDING: Final = """
SELECT session_id, SUM(IIF(metric = :requests, value, 0)), SUM(IIF(metric = :input, value, 0)), SUM(IIF(metric = :output, value, 0)),
    SUM(IIF(metric = :cost, value, NULL))
FROM session_aggregate
WHERE bucket >= :first AND bucket < :behind AND metric IN (:requests, :input, :output, :cost) {filters} GROUP BY {plus}session_id
"""
_WITH_LABELS: Final = """
SELECT DISTINCT session_id FROM session_aggregate WHERE bucket >= :first AND bucket < :behind {filters}
"""
_LENGTH: Final = "SELECT MAX(bucket) - MIN(bucket) FROM aggregate"
# The index by time helps if a range has less than one of so many half hours. Otherwise, all sums are read in their order.
_INDEX_HELPS: Final = 12


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
class SessionTimes:
    """When a session was, and whose it is. Times are Unix nanoseconds."""

    session_id: str
    began_ns: int
    seen_ns: int
    agent: str | None
    project: str | None


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


def read_some_sessions(connection: sqlite3.Connection, session_ids: Sequence[str]) -> list[SessionRow]:
    """Return a few sessions, the newest first. Unknown ones are left out.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    found: list[SessionRow] = []
    for some in portions(session_ids):
        names = {f"id{number}": session_id for number, session_id in enumerate(some)}
        which = f"session_id IN ({', '.join(f':{name}' for name in names)})"
        found += _read(connection, which, {"since": 0, "until": END_OF_TIME, **names})
    return sorted(found, key=lambda row: -(row.began_ns or 0))


def read_times(connection: sqlite3.Connection) -> list[SessionTimes]:
    """Return all sessions, the newest first, with what one table has of them. It is fast also with many thousands.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    rows = connection.execute(
        "SELECT session_id, COALESCE(first_seen_ns, 0), COALESCE(last_seen_ns, 0), agent, project FROM session"
        " ORDER BY first_seen_ns DESC"
    )
    return [SessionTimes(*row) for row in rows]


def _read(connection: sqlite3.Connection, which: str, parameters: Mapping[str, str | int]) -> list[SessionRow]:
    words: dict[str, str] = {}
    for session_id, texts in connection.execute(_FIRST_WORDS.format(one=which), parameters):
        words.setdefault(session_id, _beginning(texts))
    rows = connection.execute(_LIST.format(one=which), parameters)
    return [_row(*row, words.get(row[0])) for row in rows]


def read_spending(
    connection: sqlite3.Connection, within: Range, only: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Spending]:
    """Return what each session used within a range: session id → its part of the figures that ``break_down`` has for the range.

    Args:
        connection: the store, opened for reading.
        within: the range.
        only: name of a group → the values that count. It has to divide cost, tokens and requests.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    filters, parameters = _filters(only or {})
    first, behind = buckets(within.since_ns, within.until_ns)
    (length,) = connection.execute(_LENGTH).fetchone()
    helps = (behind - first) * _INDEX_HELPS < (length or 0)
    rows = connection.execute(
        _SPENDING.format(filters=filters, plus="+" if helps else ""),
        parameters
        | {"first": first, "behind": behind, "requests": catalog.API_REQUESTS.name, "cost": catalog.COST.name}
        | {"input": catalog.TOKENS_INPUT.name, "output": catalog.TOKENS_OUTPUT.name},
    )
    return {session_id: Spending(*sums) for session_id, *sums in rows}


def sessions_with(connection: sqlite3.Connection, within: Range, group: str, values: Sequence[str]) -> set[str]:
    """Return the sessions that have anything with one of these values of a group in a range, for example calls of a tool.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    filters, parameters = _filters({group: values})
    first, behind = buckets(within.since_ns, within.until_ns)
    rows = connection.execute(_WITH_LABELS.format(filters=filters), parameters | {"first": first, "behind": behind})
    return {session_id for (session_id,) in rows}


def _filters(only: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str | int]]:
    """Return the SQL conditions for labels, and their parameters."""
    conditions = ""
    parameters: dict[str, str | int] = {}
    for group, values in only.items():
        names = []
        for value in values:
            names.append(f":value{len(parameters)}")
            pair = encode_labels(((LABELS[group], normalize(value)),))
            parameters[names[-1][1:]] = pair[1:-1]  # one pair, as it is among others
        if names:
            conditions += f" AND ({' OR '.join(f'instr(labels, {name})' for name in names)})"
    return conditions, parameters


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
