"""Deltas whose answer is lost are sent again unchanged, so that a receiver recognizes them by their times."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure, read_state
from claude_hooks_otel.delivery.metrics import MetricWorker, Snapshot
from claude_hooks_otel.export.exporters import build_metric_exporters
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import OtelSettings
from claude_hooks_otel.units import SECOND
from tests.support.otlp_receiver import OtlpReceiver

BEGIN = 1_780_000_000 * SECOND
LABELS = (("agent", "backend"), ("project", "shop"))


class Rig:
    """A store, and workers that send deltas, one after the other as after restarts."""

    def __init__(self, folder: Path, receiver: OtlpReceiver) -> None:
        self.receiver, self.changes = receiver, 0
        self.store = open_store(folder / "store.db", lambda: BEGIN)
        with self.store.transaction():
            configure(self.store.connection, [ExporterState("metrics", "otlp")])
        self.worker = self._worker()

    def _worker(self) -> MetricWorker:
        settings = OtelSettings.from_variables(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.http.url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
            }
        )
        [exporter] = build_metric_exporters(settings)
        return MetricWorker(exporter, service_resource(settings, "instance"), self.store.path)

    def restart(self) -> None:
        """Go on with another worker, as after a kill."""
        self.worker.interrupt()
        self.worker = self._worker()

    def send(self, calls: int) -> str | None:
        """Send the series as they are after so many calls. Return None, or the reason of a failure."""
        self.changes += 1
        now_ns = BEGIN + self.changes * SECOND
        points = [
            SeriesPoint(catalog.TOOL_CALLS, LABELS, BEGIN, calls),
            SeriesPoint(catalog.TOOL_DURATION, LABELS, BEGIN, calls * 10, (calls, *([0] * len(catalog.TOOL_DURATION.buckets)))),
            SeriesPoint(catalog.SPOOL_DEPTH, (), now_ns, 7),
        ]  # fmt: skip
        self.worker.submit(Snapshot(self.changes, now_ns, points))
        return self.worker.deliver(self.store.connection)

    def counted(self) -> tuple[float, int]:
        """Return the calls and observations that a receiver counts that ignores an interval which it already has."""
        found: dict[Any, set[Any]] = defaultdict(set)
        for point in self.receiver.metrics:
            if point.kind != "gauge":
                found[point.name, point.start_ns, point.time_ns].add(point.value)
        assert all(len(values) == 1 for values in found.values()), found
        calls = sum(value for (name, *_), (value,) in found.items() if name == "claude.tool.calls")
        return calls, sum(value[0] for (name, *_), (value,) in found.items() if name != "claude.tool.calls")

    def intervals(self) -> list[tuple[int, int]]:
        """Return the different intervals of the calls, in order, in seconds since BEGIN."""
        calls = {
            (point.start_ns, point.time_ns) for point in self.receiver.metrics if point.name == "claude.tool.calls"
        }
        return sorted(((start - BEGIN) // SECOND, (end - BEGIN) // SECOND) for start, end in calls)


@pytest.fixture
def rig(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Rig]:
    made = Rig(tmp_path, otlp_receiver)
    with contextlib.closing(made.store):
        yield made
        made.worker.interrupt()


def _nothing(_: Rig) -> None:
    pass


@pytest.mark.parametrize("between", [_nothing, Rig.restart], ids=["same daemon", "next daemon"])
def test_deltas_whose_answer_is_lost_are_counted_once(rig: Rig, between: Callable[[Rig], None]) -> None:
    assert rig.send(3) is None
    rig.receiver.http.fail_with(500, "the answer is lost", accepting=True)
    assert rig.send(5) is not None
    between(rig)
    assert rig.send(9) is not None
    rig.receiver.http.answer_normally()
    between(rig)
    assert rig.send(10) is None
    assert rig.counted() == (10, 10)
    assert rig.intervals() == [(0, 1), (1, 2), (2, 4)]
    assert read_state(rig.store.connection, "metrics", "otlp").error == ""


@pytest.mark.parametrize("between", [_nothing, Rig.restart], ids=["same daemon", "next daemon"])
def test_deltas_that_did_not_arrive_are_counted_once(rig: Rig, between: Callable[[Rig], None]) -> None:
    rig.receiver.http.fail_with(500, "out of order")
    assert rig.send(3) is not None
    between(rig)
    assert rig.send(4) is not None
    rig.receiver.http.answer_normally()
    assert rig.send(4) is None
    assert rig.counted() == (4, 4)


def test_refused_deltas_are_part_of_the_next_ones(rig: Rig) -> None:
    rig.receiver.http.fail_with(400, "no")
    assert rig.send(3) is not None
    rig.receiver.http.answer_normally()
    assert rig.send(5) is None
    assert rig.intervals() == [(0, 2)]
    assert rig.counted() == (5, 5)


def test_gauges_are_sent_with_every_export(rig: Rig) -> None:
    assert rig.send(3) is None
    rig.receiver.http.fail_with(500, "the answer is lost", accepting=True)
    assert rig.send(5) is not None
    rig.receiver.http.answer_normally()
    assert rig.send(6) is None
    assert [point.time_ns - BEGIN for point in rig.receiver.metrics if point.kind == "gauge"] == [
        SECOND,
        2 * SECOND,
        3 * SECOND,
    ]
