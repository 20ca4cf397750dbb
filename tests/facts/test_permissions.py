"""Each dialog about a tool call is in the permission figures, and its wait is no active time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.ledger import LedgerEntry
from claude_hooks_otel.facts.pairing import Pairing
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import SECOND

SESSION = "5e55"
BEGIN = 1_000_000 * SECOND
LATER = BEGIN + 7200 * SECOND


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    made = assemble_core(Home(tmp_path), Config(), lambda: LATER)
    with made.store.transaction():
        made.facts.upsert(
            model.Session(session_id=SESSION, first_seen_ns=BEGIN, last_seen_ns=BEGIN + 100 * SECOND),
            model.Turn(prompt_id="p", session_id=SESSION, started_ns=BEGIN + SECOND),
        )
        event(made, "SessionStart", 0, "startup")
        event(made, "Stop", 60)
        event(made, "SessionEnd", 90, "other")
    yield made
    made.store.close()


def event(core: Core, name: str, second: float, detail: str = "") -> None:
    at = BEGIN + round(second * SECOND)
    entry = LedgerEntry(at, name, "", "p", detail)
    assert core.facts.ledger.enter(f"{name}{second}".encode(), SESSION, entry)


def call(core: Core, name: str, begin: float, end: float | None, outcome: str | None, **fields: Any) -> None:
    core.facts.upsert(
        model.ToolCall(
            tool_use_id=name,
            session_id=SESSION,
            tool="Bash",
            outcome=outcome,
            started_ns=BEGIN + round(begin * SECOND),
            ended_ns=None if end is None else BEGIN + round(end * SECOND),
            **fields,
        )
    )


def waits(core: Core) -> dict[str, tuple[str | None, float]]:
    """Pair the session, and return tool call → (decision, seconds)."""
    for _ in range(2):  # pairing again changes nothing
        Pairing(core.facts, lambda _: 0).pair(SESSION, LATER, LATER - 3600 * SECOND)
    found = core.facts.select(model.PermissionWait)
    assert len({wait.tool_use_id for wait in found}) == len(found)
    return {wait.tool_use_id or "": (wait.decision, (wait.waited_ns or 0) / SECOND) for wait in found}


def active_seconds(core: Core) -> float:
    (turn,) = core.facts.select(model.Turn)
    return (turn.active_ns or 0) / SECOND


def test_a_refused_dialog_counts_without_its_event(core: Core) -> None:
    with core.store.transaction():
        call(core, "refused", 10, 25, "rejected")
        assert waits(core) == {"refused": ("rejected", 15)}
    assert active_seconds(core) == 59 - 15


def test_calls_that_are_refused_together_have_one_dialog(core: Core) -> None:
    with core.store.transaction():
        call(core, "first", 10, 25, "rejected")
        call(core, "second", 10.01, 25, "rejected")
        event(core, "PermissionRequest", 12, "Bash")
        assert waits(core) == {"first": ("rejected", 13)}
    assert active_seconds(core) == 59 - 13


def test_an_event_that_arrives_late_does_not_count_its_dialog_again(core: Core) -> None:
    with core.store.transaction():
        call(core, "refused", 10, 25, "rejected")
        assert waits(core) == {"refused": ("rejected", 15)}
        event(core, "PermissionRequest", 12, "Bash")
        assert waits(core) == {"refused": ("rejected", 15)}


def test_a_dialog_that_the_client_left_open_lasts_until_its_exit(core: Core) -> None:
    with core.store.transaction():
        call(core, "open", 40, None, None)
        event(core, "PermissionRequest", 41, "Bash")
        assert waits(core) == {"open": ("unanswered", 49)}
    assert active_seconds(core) == 59 - 19


def test_dialogs_at_the_same_time_are_subtracted_once(core: Core) -> None:
    with core.store.transaction():
        call(core, "one", 10, 30, "success", duration_ns=0)
        call(core, "two", 10, 40, "success", duration_ns=0)
        event(core, "PermissionRequest", 20, "Bash")
        event(core, "PermissionRequest", 21, "Bash")
        assert waits(core) == {"one": ("allowed", 10), "two": ("allowed", 19)}
    assert active_seconds(core) == 59 - 20


@pytest.mark.parametrize(("went_on", "outcome"), [(True, "error"), (False, "interrupted")])
def test_a_killed_command_was_interrupted_if_its_client_exited(core: Core, went_on: bool, outcome: str) -> None:
    """The transcript says only ``Exit code 137``, so it has no outcome for the call."""
    with core.store.transaction():
        call(core, "killed", 10, 20, None)
        if went_on:
            at_ns = BEGIN + 21 * SECOND
            core.facts.upsert(model.ApiRequest(message_id="m", answer_id="a", session_id=SESSION, at_ns=at_ns))
        waits(core)
        (found,) = core.facts.select(model.ToolCall)
    assert found.outcome == outcome


def test_a_request_of_a_later_run_does_not_follow_a_killed_command(core: Core) -> None:
    with core.store.transaction():
        call(core, "killed", 10, 20, None)
        event(core, "SessionStart", 95, "resume")
        event(core, "SessionEnd", 99, "other")
        at_ns = BEGIN + 96 * SECOND
        core.facts.upsert(model.ApiRequest(message_id="m", answer_id="a", session_id=SESSION, at_ns=at_ns))
        waits(core)
        (found,) = core.facts.select(model.ToolCall)
    assert found.outcome == "interrupted"
