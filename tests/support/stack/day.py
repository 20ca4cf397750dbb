"""A scripted day of two machines, and what happened between its moments."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from claude_hooks_otel.metrics.catalog import METRICS
from claude_hooks_otel.metrics.definition import Kind, Metric
from monitoring.dashboards.panels import chosen
from monitoring.expressions import Series
from monitoring.rig.stack import Labels, Stack
from tests.support.stack.panels import panel_queries
from tests.support.stack.team import Machine, Totals, arrived, final_totals, scale

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
