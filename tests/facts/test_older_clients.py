"""Hook events as Claude Code 2.1.150 and 2.1.200 send them: they set no CLAUDE_PID, and some events have another session's id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.units import SECOND
from tests.support.machine import START_NS, Event, Machine

# Processes that are not alive: no machine has these ids.
FIRST, SECOND_RUN, FORK = "4000001", "4000002", "4000003"

BEGINNING: list[Event] = [
    (0, FIRST, "parent", "SessionStart", {"source": "startup"}),
    (1, FIRST, "parent", "UserPromptSubmit", {"prompt": "begin"}),
    (2, FIRST, "parent", "Stop", {"last_assistant_message": "end"}),
    (3, FIRST, "parent", "SessionEnd", {"reason": "other"}),
]
# ``--resume parent --fork-session``: the start has the parent's id.
FORKED: list[Event] = [
    (10, FORK, "parent", "SessionStart", {"source": "resume"}),
    (10.1, FORK, "fork", "InstructionsLoaded", {"file_path": "/shop/CLAUDE.md"}),
    (11, FORK, "fork", "UserPromptSubmit", {"prompt": "go on"}),
    (12, FORK, "fork", "Stop", {"last_assistant_message": "end"}),
    (13, FORK, "fork", "SessionEnd", {"reason": "other"}),
]
# ``--continue``: the file is loaded under an id that no other event has.
CONTINUED: list[Event] = [
    (20, SECOND_RUN, "provisional", "InstructionsLoaded", {"file_path": "/shop/CLAUDE.md"}),
    (20.1, SECOND_RUN, "parent", "SessionStart", {"source": "resume"}),
    (21, SECOND_RUN, "parent", "UserPromptSubmit", {"prompt": "more"}),
    (22, SECOND_RUN, "parent", "Stop", {"last_assistant_message": "end"}),
    (23, SECOND_RUN, "parent", "SessionEnd", {"reason": "other"}),
]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.core.store.close()


@pytest.mark.parametrize("at_once", [True, False], ids=["one backlog", "event by event"])
def test_a_fork_whose_start_has_the_id_of_its_parent_counts_once(machine: Machine, at_once: bool) -> None:
    """Its run ends when its process does, under the fork's own id."""
    for event in BEGINNING + FORKED:
        machine.receive(event)
        if not at_once:
            machine.read()
    machine.read()
    machine.wait(3600)
    assert machine.totals()["claude.sessions"] == 2
    runs = machine.core.facts.select(model.SessionRun)
    assert [(run.session_id, run.source, run.end_reason) for run in runs] == [
        ("parent", "startup", "other"),
        ("parent", "resume", "other"),
    ]
    assert [run.ended_ns for run in runs] == [START_NS + 3 * SECOND, START_NS + 13 * SECOND]


def test_a_fork_counts_once_if_its_parent_runs_on_in_another_process(machine: Machine) -> None:
    on = [(seconds, FIRST, "parent", "UserPromptSubmit", {"prompt": f"{seconds}"}) for seconds in (10.5, 12.5, 40)]
    machine.receive(*BEGINNING[:3], *FORKED, *on)
    machine.read()
    machine.wait(3600)
    assert machine.totals()["claude.sessions"] == 2


def test_a_session_whose_start_was_lost_counts_even_if_its_process_id_was_used_before(machine: Machine) -> None:
    machine.receive(*BEGINNING, (50, FIRST, "other", "UserPromptSubmit", {"prompt": "begin"}))
    machine.read()
    machine.wait(3600)
    assert machine.totals()["claude.sessions"] == 2


def test_sessions_of_two_containers_whose_processes_have_the_same_id_stay_apart(machine: Machine) -> None:
    """The start of the third was lost."""
    first: list[Event] = [(5, FORK, "parent", "SessionStart", {"source": "startup"})]
    first += [(6, FORK, "parent", "UserPromptSubmit", {"prompt": "x"})]
    second = [(4, FORK, "second", "SessionStart", {"source": "startup"}), (7, FORK, "second", "SessionEnd", {})]
    third = [(6.5, FORK, "third", "UserPromptSubmit", {"prompt": "x"})]
    machine.receive(*second, *first, *third)
    machine.read()
    machine.wait(120)
    assert machine.totals()["claude.sessions"] == 3
    ends = {run.session_id: run.ended_ns for run in machine.core.facts.select(model.SessionRun)}
    assert ends == {"second": START_NS + 7 * SECOND, "parent": None, "third": None}


@pytest.mark.parametrize("at_once", [True, False], ids=["one backlog", "event by event"])
def test_an_instruction_load_under_a_provisional_id_makes_no_session(machine: Machine, at_once: bool) -> None:
    """The load itself counts."""
    for event in BEGINNING + CONTINUED:
        machine.receive(event)
        if not at_once:
            machine.read()
            machine.wait(1)
    machine.read()
    machine.wait(3600)
    totals = machine.totals()
    assert totals["claude.sessions"] == 2
    assert totals["claude.pattern.loads"] == 1
    connection = machine.core.store.connection
    for table in ("session", "session_run", "identity", "followed_session", "pending_session"):
        found = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE session_id = 'provisional'")
        assert found.fetchone() == (0,), table


def test_two_runs_that_resume_a_session_within_two_seconds_are_not_copies(machine: Machine) -> None:
    """Their payloads are equal. Only the process distinguishes them."""
    first = [(10 + seconds / 10, *rest) for seconds, *rest in CONTINUED[1:]]
    again = [(seconds + 1, FORK, *rest) for seconds, _, *rest in first]
    machine.receive(*BEGINNING, *first, *again)
    machine.read()
    machine.wait(3600)
    assert machine.totals()["claude.sessions"] == 3
    assert machine.totals()["claude.hooks.events"] == len(BEGINNING) + 8
