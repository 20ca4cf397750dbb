"""Side requests: what the client's own account of a session has and no transcript shows.

Titles, compaction, the web search tool's inner request, streams that were cut: the client pays for them and writes no line. They
are what is left of its ``cost-state`` after the requests that the transcript does show. Per session, model and class:

    sum over the processes that wrote a cost-state:  cost-state - base - own requests inside that process

``base`` is what the process began to count from: the session's previous cost-state; for the first one, that of the session it was
forked from, if the account was inherited (the same ``startTime``), else nothing. A process that was killed wrote none: its
requests are in the transcript and in no later cost-state, which is why they must not be subtracted.

Worked out and checked on recorded sessions of Claude Code 2.1.330; ``tests/project/test_corpus_data.py`` holds an independent computation.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.units import END_OF_TIME, SECOND

# input, output, cache read, cache write (all), cache write (1 h), web searches, picodollars
_Account = tuple[int, int, int, int, int, int, int]
_NOTHING: _Account = (0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Record:
    """One cost-state of a session, over all its models."""

    account_started_ns: int
    duration_ns: int
    written_after_ns: int
    by_model: dict[str, _Account]


def settle(store: Store, session: model.Session, *, nothing_follows: bool) -> None:
    """Writes a session's side requests, as far as its cost-states tell them.

    Args:
        store: the facts.
        session: whose side requests.
        nothing_follows: the session is silent: a cost-state counts although no SessionEnd says that its process is done.
    """
    records = _records(store, session.session_id)
    if not records:
        return
    signals = store.signals(session.session_id, "SessionStart", "SessionEnd")
    starts = [signal.received_ns for signal in signals if signal.event == "SessionStart" and signal.detail != "compact"]
    ends = [signal.received_ns for signal in signals if signal.event == "SessionEnd"]
    spare: dict[str, list[int]] = defaultdict(lambda: [0] * len(_NOTHING))
    previous: _Record | None = None
    for record in records:
        end = next((end for end in ends if end >= record.written_after_ns), None)
        if end is None and not nothing_follows:
            break  # its process has not said goodbye: some of its requests may still be unread
        base = previous.by_model if previous else _inherited(store, session, record)
        began = _began(record, previous, base, starts, end)
        until = min((start for start in starts if start > max(began, record.written_after_ns)), default=END_OF_TIME)
        own = _own_requests(store, session.session_id, began, until)
        if base is not None:
            for name, account in record.by_model.items():
                counted_from, shown = base.get(name, _NOTHING), own.get(name, _NOTHING)
                for index, value in enumerate(account):
                    spare[name][index] += value - counted_from[index] - shown[index]
        previous = record
    identity = (store.identity_at(session.session_id, session.first_seen_ns or 0) or Identity()).columns()
    for name, left in spare.items():
        tokens = [max(0, value) for value in left[:6]]
        if any(tokens):
            cost = None if _has_unpriced(store, session.session_id, name) else max(0, left[6])
            store.upsert(
                model.AuxiliaryUsage(
                    session_id=session.session_id,
                    model=name,
                    input_tokens=tokens[0],
                    output_tokens=tokens[1],
                    cache_read_tokens=tokens[2],
                    cache_write_5m_tokens=max(0, tokens[3] - tokens[4]),
                    cache_write_1h_tokens=tokens[4],
                    web_searches=tokens[5],
                    cost=cost,
                    **identity,
                )
            )


def _records(store: Store, session_id: str) -> list[_Record]:
    """The session's cost-states in the order in which they were written."""
    found: dict[tuple[int, int], _Record] = {}
    for row in store.select(model.CostState, "session_id = ?", session_id):
        key = (row.account_started_ns, row.duration_ns)
        record = found.setdefault(key, _Record(*key, row.written_after_ns or 0, {}))
        record.by_model[row.model] = (
            row.input_tokens or 0, row.output_tokens or 0, row.cache_read_tokens or 0, row.cache_write_tokens or 0,
            row.cache_write_1h_tokens or 0, row.web_searches or 0, row.cost or 0,
        )  # fmt: skip
    # A process may write several (the terminal client does at /exit): with nothing between them, the last one counts.
    last = {record.written_after_ns: record for record in sorted(found.values(), key=lambda record: record.duration_ns)}
    return [last[written_after_ns] for written_after_ns in sorted(last)]


def _inherited(store: Store, session: model.Session, record: _Record) -> dict[str, _Account] | None:
    """What a session's first cost-state began to count from; None where that cannot be known.

    A fork made with ``--fork-session`` goes on from its parent's last written account and keeps its ``startTime``; one made with
    ``/branch`` begins at zero with a ``startTime`` of its own.
    """
    if session.forked_from is None:
        return {}
    candidates = [
        (other.session_id == session.forked_from, parent)
        for other in store.select(
            model.Session,
            "session_id IN (SELECT session_id FROM cost_state WHERE account_started_ns = ?) AND session_id != ?",
            record.account_started_ns,
            session.session_id,
        )
        for parent in _records(store, other.session_id)
        if parent.account_started_ns == record.account_started_ns and parent.written_after_ns < record.written_after_ns
        and parent.written_after_ns <= (session.first_seen_ns or END_OF_TIME)
    ]  # fmt: skip
    if candidates:
        return max(candidates, key=lambda found: (found[0], found[1].written_after_ns))[1].by_model
    inherited = (session.first_seen_ns or 0) - record.account_started_ns > 5 * SECOND
    return None if inherited else {}


def _began(
    record: _Record, previous: _Record | None, base: dict[str, _Account] | None, starts: list[int], end: int | None
) -> int:
    """When the process that wrote a cost-state began: its SessionStart, else reckoned back by the time the account grew."""
    said = max(
        (start for start in starts if start <= (end if end is not None else record.written_after_ns)), default=None
    )
    if said is not None:
        return said
    lasted = record.duration_ns - (previous.duration_ns if previous else 0)
    began = record.written_after_ns - lasted
    if previous:
        return max(previous.written_after_ns, began)
    return max(record.account_started_ns, began) if not base else began


def _own_requests(store: Store, session_id: str, began: int, until: int) -> dict[str, _Account]:
    """What the transcript shows of one process, by model."""
    rows = store.connection.execute(
        "SELECT model, SUM(input_tokens), SUM(output_tokens), SUM(cache_read_tokens), "
        "SUM(cache_write_5m_tokens + cache_write_1h_tokens), SUM(cache_write_1h_tokens), SUM(web_searches), SUM(cost) "
        "FROM api_request WHERE session_id = ? AND at_ns >= ? AND at_ns < ? GROUP BY model",
        (session_id, began, until),
    )
    return {name: tuple(value or 0 for value in account) for name, *account in rows}  # type: ignore[misc]  # seven columns


def _has_unpriced(store: Store, session_id: str, name: str) -> bool:
    """Whether requests of this model have no price here: the client's own figure for it is then a guess that we do not repeat."""
    return bool(
        store.connection.execute(
            "SELECT 1 FROM api_request WHERE session_id = ? AND model = ? AND cost IS NULL", (session_id, name)
        ).fetchone()
    )
