"""How each turn of a session ended.

A Stop or StopFailure event ends a turn. It is missing if a human pressed ESC, a limit was reached, the client was killed, or the hook
was lost. Then other facts show the end: the transcript's interrupt mark, the turn's last answer, the next prompt, the session's end.
"""

from __future__ import annotations

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.ledger import LedgerEntry, run_starts
from claude_hooks_otel.facts.model import KILLED
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics.outcomes import TurnFailure
from claude_hooks_otel.units import END_OF_TIME

# The stop reasons that end a turn. Source: ``stop_reason`` of the Messages API.
_FINAL_STOPS = ("end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded")

_OF_A_TURN = "FROM api_request WHERE session_id = ? AND agent_id IS NULL AND at_ns >= ? AND at_ns < ?"
_FINAL_ANSWER = (
    f"SELECT at_ns, error {_OF_A_TURN} AND (error != '' OR stop_reason IN {_FINAL_STOPS}) ORDER BY at_ns LIMIT 1"
)
_LAST_ANSWER = f"SELECT MAX(at_ns) {_OF_A_TURN}"


def end_turns(facts: Facts, session: model.Session, *, may_infer: bool, is_over: bool) -> None:
    """Add the ends of a session's turns, as far as they are known.

    Args:
        facts: the facts of the store. The caller holds the transaction.
        session: the session.
        may_infer: whether no event of the session is on its way. Then a turn that is followed by another one gets no Stop event.
        is_over: whether the session is over. Then its last turn gets no Stop event either.
    """
    ended_turns = facts.select(model.Turn, "session_id = ? AND ended_ns IS NOT NULL", session.session_id)
    ended = {turn.prompt_id for turn in ended_turns}
    for prompt_id, stop in _stops(facts, session.session_id).items():
        if prompt_id not in ended:
            failure = stop.detail if stop.event == "StopFailure" else None
            _end(facts, session.session_id, prompt_id, stop.received_ns, failure)
    if may_infer:
        _infer_ends(facts, session, is_over=is_over)


def _infer_ends(facts: Facts, session: model.Session, *, is_over: bool) -> None:
    turns = facts.select(
        model.Turn, "session_id = ? AND started_ns IS NOT NULL ORDER BY started_ns", session.session_id
    )
    runs = facts.select(
        model.SessionRun, "session_id = ? AND ended_ns IS NOT NULL ORDER BY ended_ns", session.session_id
    )
    starts = [start.received_ns for start in run_starts(facts.ledger.entries(session.session_id, "SessionStart"))]
    # The last turn comes first: if a turn has ended, so have all before it. A prompt alone proves nothing, because a human can type
    # it while Claude works.
    until, followed = END_OF_TIME, False
    for turn in reversed(turns):
        if turn.ended_ns is None and (followed or is_over):
            run = next((run for run in runs if (turn.started_ns or 0) <= (run.ended_ns or 0) < until), None)
            if run is None and followed:
                failure = TurnFailure.INTERRUPTED
            else:
                failure = TurnFailure.KILLED if run and run.end_reason == KILLED else TurnFailure.ENDED
            # A turn lies within one run of its session. What follows in a later run is not part of it.
            in_run = min((start for start in starts if start > (turn.started_ns or 0)), default=until)
            _end(facts, session.session_id, turn.prompt_id, *_inferred(facts, turn, min(until, in_run), failure))
            followed = True
        until, followed = turn.started_ns or until, followed or turn.ended_ns is not None


def _stops(facts: Facts, session_id: str) -> dict[str, LedgerEntry]:
    """Return the first event that ends each turn, by prompt id."""
    found: dict[str, LedgerEntry] = {}
    for entry in facts.ledger.entries(session_id, "Stop", "StopFailure"):
        if not entry.agent_id and entry.prompt_id:
            found.setdefault(entry.prompt_id, entry)
    return found


def _inferred(facts: Facts, turn: model.Turn, until_ns: int, failure: TurnFailure) -> tuple[int, str | None]:
    """Return when a turn without a Stop event ended, Unix nanoseconds, and why it has no answer."""
    began = turn.started_ns or 0
    if turn.interrupted_ns is not None:
        return turn.interrupted_ns, TurnFailure.INTERRUPTED
    stretch = (turn.session_id or "", began, until_ns)
    # The first final answer counts. A background task that reports back makes the model answer again.
    final: tuple[int, str | None] | None = facts.connection.execute(_FINAL_ANSWER, stretch).fetchone()
    if final is not None:
        return final
    (answered,) = facts.connection.execute(_LAST_ANSWER, stretch).fetchone()
    seen = facts.ledger.last_seen_ns(turn.session_id or "", began, before_ns=until_ns)
    return max(began, seen or 0, answered or 0), failure


def _end(facts: Facts, session_id: str, prompt_id: str, ended_ns: int, failure: str | None) -> None:
    known = facts.get(model.Turn, prompt_id)
    active = None
    if known is not None and known.started_ns is not None:
        active = max(0, ended_ns - known.started_ns - _waited_ns(facts, session_id, known.started_ns, ended_ns))
    facts.upsert(
        model.Turn(
            prompt_id=prompt_id,
            session_id=session_id,
            ended_ns=ended_ns,
            failure=failure,
            active_ns=active,
            **facts.identities.columns(session_id, ended_ns),
        )
    )


def _waited_ns(facts: Facts, session_id: str, began_ns: int, ended_ns: int) -> int:
    """Return how long a session waited for permissions between two times. Waits at the same time count once."""
    within = "session_id = ? AND asked_ns >= ? AND asked_ns <= ? ORDER BY asked_ns"
    waited, until = 0, began_ns
    for wait in facts.select(model.PermissionWait, within, session_id, began_ns, ended_ns):
        answered_ns = min(wait.asked_ns + (wait.waited_ns or 0), ended_ns)
        waited += max(0, answered_ns - max(wait.asked_ns, until))
        until = max(until, answered_ns)
    return waited
