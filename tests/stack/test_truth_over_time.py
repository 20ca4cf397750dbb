"""A scripted day on a real Collector and a real Prometheus: the dashboards show for a time range what happened in it."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_hooks_otel.metrics.catalog import METRICS
from claude_hooks_otel.metrics.definition import Kind, Metric
from monitoring.dashboards.panels import chosen
from monitoring.expressions import BAR, RANGE, Series, fill
from monitoring.rig.local import HASTE
from monitoring.rig.stack import Labels, Stack
from tests.support.corpus import Scenario
from tests.support.real_daemon import _complete_sessions
from tests.support.stack.panels import panel_queries
from tests.support.stack.team import Machine, Totals, arrived, final_totals, scale

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

# Seconds: longer than HASTE's range for raw samples, and longer than the Collector keeps a silent series.
NIGHT = 7.0


class Day:
    """The moments of the day, and the totals of both machines at each of them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.machines = [Machine(folder / name, stack.through_the_collector) for name in ("laptop", "tower")]
        self.moments: list[tuple[float, Totals]] = []

    def note(self) -> None:
        """Wait until Prometheus has every total, and note the moment."""
        totals = final_totals(self.machines)
        self.moments.append((arrived(self.stack, totals), totals))

    def play(self) -> None:
        laptop, tower = self.machines
        self.moments.append((time.time(), Counter()))
        laptop.installation.start()
        laptop.play("basic-edit")  # every series begins inside the range
        self.note()

        laptop.installation.kill(signal.SIGTERM)  # as after 15 idle minutes
        time.sleep(NIGHT)  # the series disappear from the Collector, and their samples become too old for a query
        self.moments.append((time.time(), self.moments[-1][1]))

        tower.installation.start()
        tower.play("subagents")  # the same agent, on a second machine
        laptop.installation.start()
        laptop.play("tasks")
        self.note()

        laptop.installation.kill(signal.SIGKILL)
        laptop.installation.start()
        self.stack.collector.stop(kill=True)
        self.stack.collector.start()
        laptop.play("lines")
        self.note()

        self.stack.collector.stop()  # an hour without the Collector
        tower.play("files")
        final_totals(self.machines)
        time.sleep(NIGHT)
        self.stack.collector.start()
        self.note()

        self.stack.prometheus.stop()
        tower.play("skills")
        final_totals(self.machines)
        self.stack.prometheus.start()
        self.note()

    def ranges(self) -> Iterator[tuple[float, float, Totals]]:
        """Yield every pair of moments, and the growth of each total between them."""
        for (start, before), (end, after) in itertools.combinations(self.moments, 2):
            yield start, end, Counter({key: value - before[key] for key, value in after.items()})

    def close(self) -> None:
        for machine in self.machines:
            machine.installation.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Day]:
    """Play the day once."""
    folder = tmp_path_factory.mktemp("day")
    with Stack(folder, HASTE) as stack:
        played = Day(stack, folder)
        try:
            played.play()
            yield played
        finally:
            played.close()


GROWING = [metric for metric in METRICS if metric.kind is not Kind.GAUGE]


def growing_panels(span: str) -> Iterator[tuple[Metric, str, tuple[str, ...], str]]:
    """Yield the metric, the part of a histogram, the labels and the expression of every growth in ``span`` in the dashboards."""
    texts = [query.expr for query in panel_queries()]
    for metric in GROWING:
        parts = ("_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",)
        keys = ("instance", *metric.all_labels)
        groupings = [(), *((key,) for key in keys), *itertools.permutations(keys, 2)]
        for part, by in itertools.product(parts, groupings):
            for series in (chosen(metric), Series(metric)):
                expression = series.grown(span, by, part)
                if any(expression in text for text in texts):
                    yield metric, part, by, expression


def wanted(happened: Totals, name: str, by: tuple[str, ...]) -> dict[Labels, int]:
    sums: Counter[Labels] = Counter()
    for (series, labels), value in happened.items():
        if series == name:
            sums[frozenset((key, text) for key, text in labels if key in by)] += value
    return dict(sums)


def exactly(name: str, found: dict[Labels, float], happened: dict[Labels, int]) -> bool:
    """Return whether counts are equal, and whether dollars and seconds differ by no more than the rounding of floats."""
    unit = scale(name)
    slack = 0.0 if unit == 1 else 1e-9
    return all(abs(found.get(labels, 0.0) - happened.get(labels, 0) / unit) <= slack for labels in found | happened)


def test_every_growing_panel_is_exact_between_any_two_moments_of_the_day(day: Day) -> None:
    checked = compared = 0
    for metric, part, by, expression in growing_panels(RANGE):
        if "instance" in by:
            continue  # the totals have no instance label
        name = metric.prometheus_name + part
        for start, end, happened in day.ranges():
            found = day.stack.instant(fill(expression, end - start), end)
            exact = wanted(happened, name, by)
            assert exactly(name, found, exact), (name, by, start, end, found, exact)
            compared += sum(1 for value in exact.values() if value)
        checked += 1
    assert checked > 40
    assert compared > 500


def test_the_bars_of_a_range_add_up_to_what_happened_in_it(day: Day) -> None:
    (start, _), *_, (end, totals) = day.moments
    bar = round((end - start) / 40, 3)
    first = end - 40 * bar
    for metric, part, by, expression in growing_panels(BAR):
        name = metric.prometheus_name + part
        found = {
            labels: sum(value for _, value in values)
            for labels, values in day.stack.over_time(fill(expression, 0, bar), first + bar, end, bar).items()
        }
        exact = wanted(totals, name, by)
        assert exactly(name, found, exact), (name, by, found, exact)


def test_increase_misses_what_happened_in_some_range(day: Day) -> None:
    """This is why no expression uses it."""
    name = "claude_sessions_total"
    found: list[float] = []
    for start, end, happened in day.ranges():
        if exact := sum(wanted(happened, name, ()).values()):
            answer = day.stack.instant(f"sum(increase({name}[{round((end - start) * 1000)}ms]))", end)
            found.append(answer.get(frozenset(), 0.0) / exact)
    assert min(found) < 0.9  # how much is missing depends on the times of the samples: in the whole day 57 to 72 of 74


def test_the_dashboards_agree_with_the_clients_own_telemetry(day: Day) -> None:
    dollars = calls = 0.0
    for name in ("basic-edit", "subagents", "tasks", "lines", "files", "skills"):
        scenario = Scenario(name)
        complete = {hook.fields["session_id"] for hook in _complete_sessions(scenario)}
        for session, told in scenario.truth["sessions"].items():
            if session in complete:
                dollars += sum(point["value"] for point in told["metrics"].get("cost.usage", ()))
                calls += sum(
                    point["value"] for point in told["metrics"].get("token.usage", ()) if point["type"] == "output"
                )
    (start, _), *_, (end, _) = day.moments
    queries = {str(query): query for query in panel_queries()}
    cost = day.stack.instant(queries["claude-executive: Cost in range"].filled(end - start), end)
    tokens = day.stack.instant(queries["claude-technical: Tokens out"].filled(end - start), end)
    assert cost[frozenset()] == pytest.approx(dollars, abs=0.005)
    assert tokens[frozenset()] == calls
