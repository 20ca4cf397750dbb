"""How each turn of a session ended, said or unsaid.

A Stop or StopFailure event ends a turn. Where none came (a human pressed ESC, a limit was reached, the client was killed, the hook
was lost), what is left tells: the transcript's mark of an interrupt, its last answer, the next prompt, the end of the session.
"""

from __future__ import annotations

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.store import Signal, Store
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.units import END_OF_TIME

# What stands in Turn.failure beside the client's names of API errors.
INTERRUPTED, KILLED, ENDED = "interrupted", "killed", "ended"
# Reasons to stop after which the model has nothing more to say in this turn (Messages API, ``stop_reason``).
_FINAL_STOPS = ("end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded")


def settle_turns(store: Store, session: model.Session, *, may_infer: bool, is_over: bool) -> None:
    """Writes how the session's turns ended, as far as that is known by now.

    Args:
        store: the facts; the caller holds the transaction.
        session: whose turns.
        may_infer: nothing of the session is on its way: a turn that another one followed will get no Stop any more.
        is_over: the session is over: nor will the last one.
    """
    ended = {
        prompt_id
        for (prompt_id,) in store.connection.execute(
            "SELECT prompt_id FROM turn WHERE session_id = ? AND ended_ns IS NOT NULL", (session.session_id,)
        )
    }
    for prompt_id, signal in _stops(store, session.session_id).items():
        if prompt_id in ended:
            continue
        failure = signal.detail if signal.event == "StopFailure" else None
        _end(store, session.session_id, prompt_id, signal.received_ns, failure)
    if not may_infer:
        return
    turns = store.select(
        model.Turn, "session_id = ? AND started_ns IS NOT NULL ORDER BY started_ns", session.session_id
    )
    runs = store.select(
        model.SessionRun, "session_id = ? AND ended_ns IS NOT NULL ORDER BY ended_ns", session.session_id
    )
    # Backwards: that the following turn has ended says that this one has. A prompt typed while Claude works says nothing.
    until, followed = END_OF_TIME, False
    for turn in reversed(turns):
        if turn.ended_ns is None and (followed or is_over):
            left = next((run for run in runs if (turn.started_ns or 0) <= (run.ended_ns or 0) < until), None)
            gone = INTERRUPTED if left is None and followed else KILLED if left and left.end_reason == KILLED else ENDED
            _end(store, session.session_id, turn.prompt_id, *_inferred(store, turn, until, gone))
            followed = True
        until, followed = turn.started_ns or until, followed or turn.ended_ns is not None


def _stops(store: Store, session_id: str) -> dict[str, Signal]:
    """Prompt id → the first event that ended it."""
    found: dict[str, Signal] = {}
    for signal in store.signals(session_id, "Stop", "StopFailure"):
        if not signal.agent_id and signal.prompt_id:
            found.setdefault(signal.prompt_id, signal)
    return found


def _inferred(store: Store, turn: model.Turn, until_ns: int, gone: str) -> tuple[int, str | None]:
    """When a turn ended of which no event says so, and why it has no answer."""
    began = turn.started_ns or 0
    if turn.interrupted_ns is not None:
        return turn.interrupted_ns, INTERRUPTED
    answers = store.select(
        model.ApiRequest,
        "session_id = ? AND agent_id IS NULL AND at_ns >= ? AND at_ns < ? ORDER BY at_ns",
        turn.session_id or "", began, until_ns,
    )  # fmt: skip
    # The first: a background task that reports back has the model answer again.
    final = next((answer for answer in answers if answer.error or answer.stop_reason in _FINAL_STOPS), None)
    if final is not None:
        return final.at_ns or began, final.error
    seen = store.connection.execute(
        "SELECT MAX(received_ns) FROM event WHERE session_id = ? AND received_ns >= ? AND received_ns < ?",
        (turn.session_id, began, until_ns),
    ).fetchone()[0]
    return max(began, seen or 0, *(answer.at_ns or 0 for answer in answers)), gone


def _end(store: Store, session_id: str, prompt_id: str, ended_ns: int, failure: str | None) -> None:
    known = store.get(model.Turn, prompt_id)
    labels = (store.identity_at(session_id, ended_ns) or Identity()).columns()
    active = None
    if known is not None and known.started_ns is not None:
        waits = store.select(
            model.PermissionWait,
            "session_id = ? AND asked_ns >= ? AND asked_ns <= ?",
            session_id,
            known.started_ns,
            ended_ns,
        )
        active = max(0, ended_ns - known.started_ns - sum(wait.waited_ns or 0 for wait in waits))
    store.upsert(
        model.Turn(
            prompt_id=prompt_id, session_id=session_id, ended_ns=ended_ns, failure=failure, active_ns=active, **labels
        )
    )  # fmt: skip
