"""Timelines add up to what was counted, live ones end at the exported totals, and each addition is in one of them."""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.daemon.history import HistoryImport, find_transcripts
from claude_hooks_otel.facts.model import KINDS
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.metrics.labels import OVERFLOW
from claude_hooks_otel.series.aggregates import BUCKET, LIVE, read_aggregates
from claude_hooks_otel.series.projection import apply_change
from claude_hooks_otel.series.renewal import begin_again
from claude_hooks_otel.series.timelines import Origin, Timeline, read_everything, read_history
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DAY, END_OF_TIME, SECOND
from tests.support.corpus import Scenario
from tests.support.real_daemon import _shifted
from tests.support.replay import Replay, play

LIMIT = 2000
LATER = 1_900_000_000 * SECOND
COUNTED_LIVE, IMPORTED = "basic-edit", ("subagents", "tasks")


def import_into(home: Home, folder: Path, now_ns: int) -> None:
    for days, name in enumerate(IMPORTED):
        Scenario(name).write_transcripts(folder / name / "projects")
        for path in (folder / name).rglob("*.jsonl"):
            path.write_bytes(_shifted(path.read_bytes(), -days * DAY / SECOND))
    reader = HistoryImport(home, Config(), lambda: now_ns)
    for _ in reader.read(find_transcripts([folder / name for name in IMPORTED])):
        pass
    reader.pair()
    reader.close()


@pytest.fixture
def both(tmp_path: Path) -> Replay:
    """A store with sessions of the daemon and imported ones."""
    replay = play(Scenario(COUNTED_LIVE), tmp_path)
    import_into(replay.home, tmp_path / "claude", replay.clock.now_ns)
    return replay


def total(timeline: Timeline) -> tuple[int, ...]:
    found = timeline.base or (0,) * len(timeline.growths[0][1])
    for _, amounts in timeline.growths:
        found = tuple(map(operator.add, found, amounts))
    return found


def exported(replay: Replay) -> dict[Any, tuple[int, ...]]:
    """Return the totals that the daemon exports, of the metrics that facts feed."""
    health = {metric.name for metric in catalog.METRICS if not metric.common and metric != catalog.TRANSCRIPT_ONLY}
    return {
        (point.metric.name, point.labels): (point.value, *point.bucket_counts)
        for point in replay.core.totals.points()
        if point.metric.name not in health and (point.value or any(point.bucket_counts))
    }


def of(timelines: Any, origin: Origin) -> dict[Any, tuple[int, ...]]:
    return {(each.metric.name, each.labels): total(each) for each in timelines if each.origin is origin}


def test_history_has_what_imports_have_counted_and_nothing_else(both: Replay) -> None:
    found: Counter[str] = Counter()
    for timeline in read_history(both.core.store.connection, LIMIT):
        assert timeline.origin is Origin.HISTORY
        found[timeline.metric.name] += total(timeline)[0]
    rows = both.core.store.connection.execute(
        f"SELECT metric, SUM(value) FROM aggregate WHERE part > {LIVE} GROUP BY metric"
    )
    expected = {name: value for name, value in rows if catalog.CATALOG[name].common}
    assert found == expected
    assert found[catalog.TASKS_COMPLETED.name] > 0


def test_everything_is_in_order_of_metrics_and_adds_up_to_the_aggregates(both: Replay) -> None:
    timelines = list(read_everything(both.core.store.connection, LIMIT))
    assert [each.metric.name for each in timelines] == sorted(each.metric.name for each in timelines)
    sums: Counter[str] = Counter()
    for timeline in timelines:
        sums[timeline.metric.name] += total(timeline)[0]
    expected: Counter[str] = Counter()
    for each in read_aggregates(both.core.store.connection, 0, END_OF_TIME):
        expected[each.metric] += each.value
    del sums[catalog.TRANSCRIPT_ONLY.name], expected[catalog.TRANSCRIPT_ONLY.name]  # not of history
    assert sums == expected


def test_live_timelines_end_at_the_exported_totals(both: Replay) -> None:
    timelines = list(read_everything(both.core.store.connection, LIMIT))
    assert of(timelines, Origin.LIVE) == exported(both)
    assert not any(each.base and any(each.base) for each in timelines)
    assert of(timelines, Origin.EARLIER) == {}


def test_totals_that_are_older_than_the_aggregates_are_at_the_begin(both: Replay) -> None:
    connection, name = both.core.store.connection, catalog.TOKENS_OUTPUT.name
    connection.execute(f"UPDATE aggregate SET value = value - 1 WHERE metric = ? AND part = {LIVE}", (name,))
    live = [each for each in read_everything(connection, LIMIT) if each.origin is Origin.LIVE]
    changed = [each for each in live if each.metric.name == name]
    assert changed
    assert all(each.base[0] > 0 for each in changed)
    assert of(live, Origin.LIVE) == exported(both)


def test_exports_of_an_earlier_instance_are_in_timelines_of_their_own(both: Replay) -> None:
    before = exported(both)
    with both.core.store.transaction():
        begin_again(both.core.facts, both.clock.now_ns, both.clock.now_ns)
    timelines = list(read_everything(both.core.store.connection, LIMIT))
    live, earlier = of(timelines, Origin.LIVE), of(timelines, Origin.EARLIER)
    assert earlier
    assert live == exported(both)
    assert {
        key: tuple(map(operator.add, earlier.get(key, zero), live.get(key, zero)))
        for key in before
        if (zero := (0,) * len(before[key]))
    } == before


def test_the_buckets_of_history_are_those_of_its_facts(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    import_into(home, tmp_path / "claude", LATER)
    core = assemble_core(home, Config(), lambda: LATER)
    history = [each for each in read_history(core.store.connection, LIMIT) if each.metric.kind is Kind.HISTOGRAM]
    counted = SeriesTotals(core.store.connection, catalog.CATALOG, LIMIT, lambda: LATER)
    with core.store.transaction():
        for kind in KINDS:
            for fact in core.facts.select(kind):
                apply_change([counted], None, fact)
        counted.flush()
    points = [point for point in counted.points() if point.metric.kind is Kind.HISTOGRAM]
    assert points
    assert of(history, Origin.HISTORY) == {
        (point.metric.name, point.labels): (point.value, *point.bucket_counts) for point in points
    }


def test_a_range_has_the_half_hours_that_begin_in_it(both: Replay) -> None:
    connection = both.core.store.connection
    buckets = sorted({at for each in read_history(connection, LIMIT) for at, _ in each.growths})
    parts: defaultdict[Any, Counter[int]] = defaultdict(Counter)
    for since_ns, until_ns in ((0, buckets[1]), (buckets[1], END_OF_TIME)):
        for each in read_history(connection, LIMIT, since_ns=since_ns, until_ns=until_ns):
            assert all(since_ns <= at_ns < until_ns for at_ns, _ in each.growths)
            parts[each.metric.name, each.labels].update(dict(enumerate(total(each))))
    whole = of(read_history(connection, LIMIT), Origin.HISTORY)
    assert {key: tuple(sums[place] for place in range(len(whole[key]))) for key, sums in parts.items()} == whole


def test_more_label_sets_than_the_limit_are_in_the_overflow_series(both: Replay) -> None:
    connection = both.core.store.connection
    name = catalog.TOOL_CALLS.name
    whole = [each for each in read_history(connection, LIMIT) if each.metric.name == name]
    assert len(whole) > 3
    few = [each for each in read_history(connection, 3) if each.metric.name == name]
    assert len(few) == 3
    assert [each.labels for each in few].count(OVERFLOW) == 1
    assert sum(total(each)[0] for each in few) == sum(total(each)[0] for each in whole)
    first = min(at for each in whole for at, _ in each.growths)
    assert all(each.growths[0][0] == first for each in few if each.labels != OVERFLOW)
    assert first % BUCKET == 0
