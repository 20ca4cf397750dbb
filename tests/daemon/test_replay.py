"""Recorded sessions have the same totals in any order of events, with copies of events, and over restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus import SCENARIOS, RecordedHook, Scenario
from tests.support.growing_transcripts import GrowingTranscripts
from tests.support.known_differences import REGISTERED_TWICE
from tests.support.replay import Replay, play


def _totals(replay: Replay) -> dict[Any, Any]:
    totals = replay.totals()
    replay.core.store.close()
    if replay.scenario.name == REGISTERED_TWICE:
        del totals["claude.active_time", ()]
        return {key: sum(value[1]) if isinstance(value, tuple) else value for key, value in totals.items()}
    return totals


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Any, Any]]:
    """The totals of every scenario, played once and in order."""
    return {name: _totals(play(Scenario(name), tmp_path_factory.mktemp(name))) for name in SCENARIOS}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_any_order_of_events_gives_the_same_totals(
    name: str, seed: int, tmp_path: Path, in_order: dict[str, Any]
) -> None:
    assert _totals(play(Scenario(name), tmp_path, seed=seed)) == in_order[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_copy_of_every_event_changes_no_total(name: str, tmp_path: Path, in_order: dict[str, Any]) -> None:
    assert _totals(play(Scenario(name), tmp_path, twice=True)) == in_order[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_restarts_change_no_total(name: str, tmp_path: Path, in_order: dict[str, Any]) -> None:
    """Four daemons, one after another, take the events in random order."""
    assert _totals(play(Scenario(name), tmp_path, seed=3, restarts=3)) == in_order[name]


def _running(following: Sequence[RecordedHook]) -> set[str]:
    """Return the sessions that run before some events: their next event does not start a run."""
    nexts: dict[str, RecordedHook] = {}
    for hook in following:
        nexts.setdefault(hook.fields["session_id"], hook)
    return {
        session
        for session, hook in nexts.items()
        if hook.event != "SessionStart" or hook.fields.get("source") == "compact"
    }


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("minutes", [0, 31])
@pytest.mark.slow
def test_totals_do_not_depend_on_when_the_daemon_reads(
    name: str, minutes: int, tmp_path: Path, in_order: dict[str, Any]
) -> None:
    """It reads whenever no session runs: at once, or after so many silent minutes that a session without an end counts as killed."""
    replay = Replay(Scenario(name), tmp_path)
    transcripts = GrowingTranscripts(replay.scenario, replay.projects)
    for place, hook in enumerate(replay.hooks):
        if not _running(replay.hooks[place:]):
            transcripts.grow(hook.t)
            replay.drain()
            replay.clock.advance(minutes * 60)
            replay.drain()
            replay.restart()
        replay.spool([hook])
    transcripts.grow(float("inf"))
    replay.finish()
    assert _totals(replay) == in_order[name]
