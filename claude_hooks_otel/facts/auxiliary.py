"""Side requests: what the client's own account of a session holds and no transcript shows.

The client pays for titles, compaction, the web search tool's inner request and cut streams, and writes no line for them. They are what
remains of its ``cost-state`` lines after the requests in the transcript. Per session, model and class:

    sum over the processes that wrote a cost-state:  cost-state - base - own requests inside that process

``base`` is where the process began to count: at the session's previous cost-state; for the first one, at that of the session it was
forked from, if it inherited that account (the same ``startTime``); else at nothing. A killed process wrote no cost-state. Its requests
are in the transcript and in no later cost-state, so they must not be subtracted.

Derived from recorded sessions of Claude Code 2.1.330; ``tests/project/test_corpus_data.py`` holds an independent computation.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.timeline import INHERITED_BEFORE
from claude_hooks_otel.units import END_OF_TIME

# input, output, cache read, cache write (all), cache write (1 h), web searches, picodollars
_Spending = tuple[int, int, int, int, int, int, int]
_NOTHING: _Spending = (0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _CostState:
    """One cost-state of a session, over all its models."""

    account_started_ns: int
    duration_ns: int
    written_after_ns: int
    by_model: dict[str, _Spending]


def add_usage(facts: Facts, session: model.Session, history_ns: int, *, nothing_follows: bool) -> None:
    """Add a session's side requests, as far as its accounts tell them.

    Args:
        facts: what is known. The caller holds the transaction.
        session: whose side requests.
        history_ns: when our time begins, Unix nanoseconds. What an account holds of the time before counts nothing.
        nothing_follows: whether the session is silent. Then an account counts although no SessionEnd says that its process is done.
    """
    spare = _spare(facts, session, history_ns, nothing_follows=nothing_follows)
    identity = (facts.identities.at(session.session_id, session.first_seen_ns or 0) or Identity()).columns()
    for name, left in spare.items():
        tokens = [max(0, value) for value in left[:6]]
        if any(tokens):
            cost = None if _has_unpriced(facts, session.session_id, name) else max(0, left[6])
            facts.upsert(
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


def _spare(facts: Facts, session: model.Session, history_ns: int, *, nothing_follows: bool) -> dict[str, list[int]]:
    """Return by model what the session's accounts hold beyond the requests that its transcript shows."""
    states = _cost_states(facts, session.session_id)
    entries = facts.ledger.entries(session.session_id, "SessionStart", "SessionEnd") if states else []
    starts = [entry.received_ns for entry in entries if entry.event == "SessionStart" and entry.detail != "compact"]
    ends = [entry.received_ns for entry in entries if entry.event == "SessionEnd"]
    spare: dict[str, list[int]] = defaultdict(lambda: [0] * len(_NOTHING))
    previous: _CostState | None = None
    for state in states:
        end = next((end for end in ends if end >= state.written_after_ns), None)
        if end is None and not nothing_follows:
            break  # its process may still run: some of its requests may be unread
        base = previous.by_model if previous else _inherited(facts, session, state, history_ns)
        began = _began(state, previous, base, starts, end)
        until = min((start for start in starts if start > max(began, state.written_after_ns)), default=END_OF_TIME)
        if base is not None and state.written_after_ns >= history_ns:
            own = _own_requests(facts, session.session_id, began, until)
            for name, account in state.by_model.items():
                counted_from, shown = base.get(name, _NOTHING), own.get(name, _NOTHING)
                for index, value in enumerate(account):
                    spare[name][index] += value - counted_from[index] - shown[index]
        previous = state
    return spare


def _cost_states(facts: Facts, session_id: str) -> list[_CostState]:
    """Return the session's cost-states in the order in which they were written."""
    found: dict[tuple[int, int], _CostState] = {}
    for row in facts.select(model.CostState, "session_id = ?", session_id):
        key = (row.account_started_ns, row.duration_ns)
        state = found.setdefault(key, _CostState(*key, row.written_after_ns or 0, {}))
        state.by_model[row.model] = (
            row.input_tokens or 0, row.output_tokens or 0, row.cache_read_tokens or 0, row.cache_write_tokens or 0,
            row.cache_write_1h_tokens or 0, row.web_searches or 0, row.cost or 0,
        )  # fmt: skip
    # A process may write several, as the terminal client does at /exit. If nothing stands between them, the last one counts.
    last = {state.written_after_ns: state for state in sorted(found.values(), key=lambda state: state.duration_ns)}
    return [last[written_after_ns] for written_after_ns in sorted(last)]


def _inherited(facts: Facts, session: model.Session, state: _CostState, history_ns: int) -> dict[str, _Spending] | None:
    """Return where a session's first cost-state began to count; None if that is unknown.

    A fork made with ``--fork-session`` continues its parent's last account and keeps its ``startTime``. One made with ``/branch``
    begins at zero with a ``startTime`` of its own. An account that began before our time holds what we never saw.
    """
    if session.forked_from is None:
        return None if history_ns - state.account_started_ns > INHERITED_BEFORE else {}
    candidates = [
        (other.session_id == session.forked_from, parent)
        for other in facts.select(
            model.Session,
            "session_id IN (SELECT session_id FROM cost_state WHERE account_started_ns = ?) AND session_id != ?",
            state.account_started_ns,
            session.session_id,
        )
        for parent in _cost_states(facts, other.session_id)
        if parent.account_started_ns == state.account_started_ns and parent.written_after_ns < state.written_after_ns
        and parent.written_after_ns <= (session.first_seen_ns or END_OF_TIME)
    ]  # fmt: skip
    if candidates:
        return max(candidates, key=lambda found: (found[0], found[1].written_after_ns))[1].by_model
    inherited = (session.first_seen_ns or 0) - state.account_started_ns > INHERITED_BEFORE
    return None if inherited else {}


def _began(
    state: _CostState,
    previous: _CostState | None,
    base: dict[str, _Spending] | None,
    starts: list[int],
    end: int | None,
) -> int:
    """Return when the process that wrote a cost-state began: at its SessionStart, else as long before as the account grew."""
    started = max(
        (start for start in starts if start <= (end if end is not None else state.written_after_ns)), default=None
    )
    if started is not None:
        return started
    lasted = state.duration_ns - (previous.duration_ns if previous else 0)
    began = state.written_after_ns - lasted
    if previous:
        return max(previous.written_after_ns, began)
    return max(state.account_started_ns, began) if not base else began


def _own_requests(facts: Facts, session_id: str, began: int, until: int) -> dict[str, _Spending]:
    """Return what the transcript shows of one process, by model."""
    rows = facts.connection.execute(
        "SELECT model, SUM(input_tokens), SUM(output_tokens), SUM(cache_read_tokens), "
        "SUM(cache_write_5m_tokens + cache_write_1h_tokens), SUM(cache_write_1h_tokens), SUM(web_searches), SUM(cost) "
        "FROM api_request WHERE session_id = ? AND at_ns >= ? AND at_ns < ? GROUP BY model",
        (session_id, began, until),
    )
    return {name: tuple(value or 0 for value in account) for name, *account in rows}  # type: ignore[misc]  # seven columns


def _has_unpriced(facts: Facts, session_id: str, name: str) -> bool:
    """Return whether this model has no price here. The client's own figure for it is a guess that we do not repeat."""
    return bool(
        facts.connection.execute(
            "SELECT 1 FROM api_request WHERE session_id = ? AND model = ? AND cost IS NULL", (session_id, name)
        ).fetchone()
    )
