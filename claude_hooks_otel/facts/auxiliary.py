"""Side requests: usage in the client's own account of a session that no transcript shows.

The client pays for titles, compaction, the inner request of the web search tool and cut streams, but writes no transcript line for
them. Its ``cost-state`` lines contain them. Their usage, for each session, model and class, is:

    sum over the processes that wrote a cost-state:  cost_state - base - transcript

``transcript`` is the usage of that process's requests in the transcript. ``base`` is the account when the process began: the session's previous cost-state. The first process of a fork that inherited an account
(the same ``startTime``) begins with the account of its parent, any other first process with nothing. A killed process writes no
cost-state. Its requests are in the transcript but in no later cost-state, so they are not subtracted.

Source: recorded sessions of Claude Code 2.1.330. ``tests/project/test_corpus_data.py`` has an independent computation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.ledger import run_starts
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.timeline import INHERITED_BEFORE
from claude_hooks_otel.units import END_OF_TIME, storable

_OWN_USAGE: Final = """
    WITH used AS (
        SELECT model, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, web_searches, cost
        FROM api_request WHERE session_id = :session AND at_ns >= :began AND at_ns < :until
        UNION ALL
        SELECT model, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, web_searches, cost
        FROM auxiliary_usage WHERE session_id = :session AND part != '' AND at_ns >= :began AND at_ns < :until
    )
    SELECT model, SUM(input_tokens), SUM(output_tokens), SUM(cache_read_tokens),
        SUM(cache_write_5m_tokens + cache_write_1h_tokens), SUM(cache_write_1h_tokens), SUM(web_searches),
        SUM(cost / 1000000), SUM(cost % 1000000) -- one sum could exceed 64 bits
    FROM used GROUP BY model
"""

# input, output, cache read, cache write (all), cache write (1 h), web searches, picodollars
_Spending = tuple[int, int, int, int, int, int, int]
_NOTHING: _Spending = (0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _CostState:
    """One cost-state of a session, with all its models."""

    account_started_ns: int
    duration_ns: int
    written_after_ns: int
    by_model: dict[str, _Spending]


def usage(
    facts: Facts, session: model.Session, history_ns: int, *, nothing_follows: bool
) -> Iterator[model.AuxiliaryUsage]:
    """Yield the usage of a session's side requests, by model.

    Args:
        facts: the facts of the store.
        session: the session.
        history_ns: the time from which the account counts, Unix nanoseconds. Usage before it counts nothing.
        nothing_follows: whether the session is silent. Then an account counts even if no SessionEnd shows that its process ended.
    """
    labels = facts.identities.columns(session.session_id, session.first_seen_ns or 0)
    for name, remainder in _remainder(facts, session, history_ns, nothing_follows=nothing_follows).items():
        tokens = [max(0, value) for value in remainder[:6]]
        if any(tokens):
            yield model.AuxiliaryUsage(
                session_id=session.session_id,
                model=name,
                part="",
                input_tokens=tokens[0],
                output_tokens=tokens[1],
                cache_read_tokens=tokens[2],
                cache_write_5m_tokens=max(0, tokens[3] - tokens[4]),
                cache_write_1h_tokens=tokens[4],
                web_searches=tokens[5],
                cost=None if _has_unpriced(facts, session.session_id, name) else storable(max(0, remainder[6])),
                **labels,
            )


def _remainder(facts: Facts, session: model.Session, history_ns: int, *, nothing_follows: bool) -> dict[str, list[int]]:
    """Return the usage in the session's accounts that its transcript does not show, by model."""
    states = _cost_states(facts, session.session_id)
    entries = facts.ledger.entries(session.session_id, "SessionStart", "SessionEnd") if states else []
    starts = [entry.received_ns for entry in run_starts(entries)]
    ends = [entry.received_ns for entry in entries if entry.event == "SessionEnd"]
    remainder: dict[str, list[int]] = defaultdict(lambda: [0] * len(_NOTHING))
    previous: _CostState | None = None
    began_ns = min((entry.received_ns for entry in entries if entry.detail in ("startup", "clear")), default=None)
    if began_ns is not None and _was_set_back(facts, session, began_ns):
        return remainder
    for state in states:
        end = _process_end(state, starts, ends)
        if end is None and not nothing_follows:
            break  # its process may still run, and some of its requests may not be read yet
        base = previous.by_model if previous else _inherited(facts, session, state, history_ns)
        began = _process_start(state, previous, base, starts, end)
        until = min((start for start in starts if start > max(began, state.written_after_ns)), default=END_OF_TIME)
        if base is not None and state.written_after_ns >= history_ns:
            own = _own_requests(facts, session.session_id, began, until)
            for name, account in state.by_model.items():
                counted_from, shown = base.get(name, _NOTHING), own.get(name, _NOTHING)
                for index, value in enumerate(account):
                    remainder[name][index] += value - counted_from[index] - shown[index]
        previous = state
    return remainder


def _was_set_back(facts: Facts, session: model.Session, began_ns: int) -> bool:
    """Return whether the clock was set back during a session. Then its times do not say which requests belong to an account.

    A session whose beginning was captured has no request from before it, unless it is a fork.
    """
    if session.forked_from is not None:
        return False
    earlier = "SELECT 1 FROM api_request WHERE session_id = ? AND at_ns < ? LIMIT 1"
    return facts.connection.execute(earlier, (session.session_id, began_ns - INHERITED_BEFORE)).fetchone() is not None


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
    # A process may write several, as the terminal client does at /exit. Of those with nothing in between, the last one counts.
    last = {state.written_after_ns: state for state in sorted(found.values(), key=lambda state: state.duration_ns)}
    return [last[written_after_ns] for written_after_ns in sorted(last)]


def _inherited(facts: Facts, session: model.Session, state: _CostState, history_ns: int) -> dict[str, _Spending] | None:
    """Return the account at which a session's first cost-state begins; None if it is unknown.

    A fork by ``--fork-session`` continues its parent's last account and keeps its ``startTime``. A fork by ``/branch`` begins at zero
    with its own ``startTime``. An account that began before ``history_ns`` contains requests that were never captured.
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
    return None if (session.first_seen_ns or 0) - state.account_started_ns > INHERITED_BEFORE else {}


def _process_end(state: _CostState, starts: list[int], ends: list[int]) -> int | None:
    """Return when the process that wrote a cost-state ended; None if it may still run.

    That is at the first SessionEnd after its start, which may be older than its last lines, and at the latest before the next start.
    """
    start = max((start for start in starts if start <= state.written_after_ns), default=None)
    if start is None:  # a fork's lines may be copies that are older than it
        return next((end for end in ends if end >= state.written_after_ns), None)
    following = [start - 1 for start in starts if start > state.written_after_ns]
    return min((end for end in [*ends, *following] if end >= start), default=None)


def _process_start(
    state: _CostState,
    previous: _CostState | None,
    base: dict[str, _Spending] | None,
    starts: list[int],
    end: int | None,
) -> int:
    """Return when the process that wrote a cost-state began: at its SessionStart, or else by the growth of ``duration_ns``."""
    until = state.written_after_ns if end is None else end
    if earlier := [start for start in starts if start <= until]:
        return max(earlier)
    lasted = state.duration_ns - (previous.duration_ns if previous else 0)
    began = state.written_after_ns - lasted
    if previous:
        return max(previous.written_after_ns, began)
    return max(state.account_started_ns, began) if not base else began


def _own_requests(facts: Facts, session_id: str, began: int, until: int) -> dict[str, _Spending]:
    """Return the usage of one process in the transcript, by model: its requests and their side rounds."""
    rows = facts.connection.execute(_OWN_USAGE, {"session": session_id, "began": began, "until": until})
    found: dict[str, _Spending] = {}
    for name, *account in rows:
        *tokens, millions, rest = (value or 0 for value in account)
        found[name] = (*tokens, millions * 1_000_000 + rest)  # type: ignore[assignment]  # seven columns
    return found


def _has_unpriced(facts: Facts, session_id: str, name: str) -> bool:
    """Return whether a model has requests without a price. The client's own figure for such a model is a guess."""
    unpriced = "SELECT 1 FROM api_request WHERE session_id = ? AND model = ? AND cost IS NULL"
    return facts.connection.execute(unpriced, (session_id, name)).fetchone() is not None
