"""The same sessions in any order, twice, over restarts, by one source or both: the same totals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus import SCENARIOS, Scenario
from tests.support.replay import Replay, play

# A session whose hooks are registered twice: either copy may be the one that counts, and they are milliseconds apart.
REGISTERED_TWICE = "plugin"


def _totals(replay: Replay) -> dict[Any, Any]:
    totals = replay.totals()
    replay.core.store.close()
    if replay.scenario.name == REGISTERED_TWICE:
        del totals["claude.active_time", ()]
        return {key: sum(value[1]) if isinstance(value, tuple) else value for key, value in totals.items()}
    return totals


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Any, Any]]:
    """The totals of every scenario played once, in order."""
    return {name: _totals(play(Scenario(name), tmp_path_factory.mktemp(name))) for name in SCENARIOS}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_gives_the_same_totals(name: str, seed: int, tmp_path: Path, in_order: dict[str, Any]) -> None:
    """Events in random order change nothing."""
    assert _totals(play(Scenario(name), tmp_path, seed=seed)) == in_order[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_twice_gives_the_same_totals(name: str, tmp_path: Path, in_order: dict[str, Any]) -> None:
    """A second copy of every event changes nothing."""
    assert _totals(play(Scenario(name), tmp_path, twice=True)) == in_order[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_restarts_give_the_same_totals(name: str, tmp_path: Path, in_order: dict[str, Any]) -> None:
    """Events split over four daemons, in random order, change nothing."""
    assert _totals(play(Scenario(name), tmp_path, seed=3, restarts=3)) == in_order[name]
