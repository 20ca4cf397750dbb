"""The sums of half hours add up to the totals, and stay when facts are deleted."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.aggregates import BUCKET, SCHEMA, Aggregates, read_aggregates
from claude_hooks_otel.units import DAY, END_OF_TIME, LARGEST_INTEGER
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.replay import Replay, play


def sums(replay: Replay) -> dict[tuple[str, object], tuple[int, int]]:
    found: defaultdict[tuple[str, object], list[int]] = defaultdict(lambda: [0, 0])
    for each in read_aggregates(replay.core.store.connection, 0, END_OF_TIME):
        found[each.metric, each.labels][0] += each.value
        found[each.metric, each.labels][1] += each.count
    return {key: (value, count) for key, (value, count) in found.items()}


# The others are slow.
QUICK = ("basic-edit", "forks", "subagents", "tasks")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in SCENARIOS]
)
def test_the_aggregates_of_facts_add_up_to_the_totals(name: str, tmp_path: Path) -> None:
    replay = play(Scenario(name), tmp_path)
    found = sums(replay)
    health = {metric.name for metric in catalog.METRICS if not metric.common and metric != catalog.TRANSCRIPT_ONLY}
    for point in replay.core.totals.points():
        if point.metric.name in health:
            continue  # counted without a fact
        value, count = found.pop((point.metric.name, point.labels))
        assert value == point.value, point.metric.name
        assert point.metric.kind is not Kind.HISTOGRAM or count == sum(point.bucket_counts)
    assert found == {}
    replay.core.store.close()


def test_a_store_of_an_earlier_version_gets_its_aggregates_once(tmp_path: Path) -> None:
    replay = play(Scenario("basic-edit"), tmp_path)
    before = sums(replay)
    with replay.core.store.transaction():
        replay.core.store.connection.execute("DELETE FROM aggregate")
        replay.core.store.set_meta("has_aggregates", "")
    for _ in range(2):
        replay.restart()
        assert sums(replay) == before
    replay.core.store.close()


def test_aggregates_stay_when_their_facts_are_deleted(tmp_path: Path) -> None:
    replay = play(Scenario("basic-edit"), tmp_path)
    before = sums(replay)
    replay.core.intake.forget(replay.clock.now_ns + DAY)
    replay.restart()
    assert sums(replay) == before
    replay.core.store.close()


def test_a_range_has_the_half_hours_that_begin_in_it() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    aggregates = Aggregates(connection, lambda: 7 * BUCKET)
    labels = (("agent", "a"), ("project", "p"))
    for at_ns in (BUCKET - 1, BUCKET, 2 * BUCKET - 1, 2 * BUCKET, None):
        aggregates.add(catalog.PROMPTS, labels, 1, at_ns)
    aggregates.flush()
    aggregates.add(catalog.PROMPTS, labels, LARGEST_INTEGER, BUCKET)
    aggregates.flush()

    def found(since_ns: int, until_ns: int) -> list[tuple[int, int, int]]:
        rows = read_aggregates(connection, since_ns, until_ns)
        return [(each.begin_ns // BUCKET, each.value, each.count) for each in rows]

    assert found(0, END_OF_TIME) == [(0, 1, 1), (1, LARGEST_INTEGER, 3), (2, 1, 1), (7, 1, 1)]
    assert found(BUCKET, 2 * BUCKET) == [(1, LARGEST_INTEGER, 3)]
    assert found(1, 2 * BUCKET + 1) == [(1, LARGEST_INTEGER, 3), (2, 1, 1)]
    connection.close()
