"""Delivery of the series to one endpoint: a thread of its own, so that a slow endpoint never holds up the intake or another one.

It always sends the newest state. What an endpoint missed is in the next export, because totals are cumulative; deltas are taken
from a baseline that moves only when an export was accepted.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.export.exporters import NamedExporter
from claude_hooks_otel.export.metrics import metrics_data, requests
from claude_hooks_otel.export.temporality import Baseline, SeriesKey, accepted, delta_points
from claude_hooks_otel.series.points import SeriesPoint

# Seconds between tries at an endpoint that fails: doubling, up to this.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every series at one moment.

    Attributes:
        number: counts the snapshots; a flush waits for one with its number or a later one.
        changes: the book's count of changes that it contains.
        now_ns: when it was taken.
        points: the series.
    """

    number: int
    changes: int
    now_ns: int
    points: Sequence[SeriesPoint]


@dataclass(frozen=True, slots=True)
class Delivered:
    """How one export ended, for the loop to write down."""

    exporter: str
    snapshot: Snapshot
    ok: bool
    error: str | None
    rejected_points: int = 0
    baseline: dict[SeriesKey, Baseline] = field(default_factory=dict)


class Delivery(threading.Thread):
    """Sends snapshots through one exporter.

    Args:
        exporter: where to.
        resource: who sends.
        baseline: for deltas: what the endpoint accepted before.
        results: where outcomes go.
    """

    def __init__(
        self,
        exporter: NamedExporter,
        resource: Resource,
        baseline: dict[SeriesKey, Baseline],
        results: queue.SimpleQueue[Delivered],
    ) -> None:
        super().__init__(name=f"delivery-{exporter.name}", daemon=True)
        self.exporter = exporter
        self._resource = resource
        self._baseline = baseline
        self._results = results
        self._condition = threading.Condition()
        self._waiting: Snapshot | None = None
        self._stopping = False
        self._retry_now = False

    def submit(self, snapshot: Snapshot, *, urgent: bool = False) -> None:
        """Hands over the newest state; an older one that still waits is dropped for it. ``urgent`` ends a pause after a failure."""
        with self._condition:
            self._waiting = snapshot
            self._retry_now |= urgent
            self._condition.notify()

    def stop(self) -> None:
        """Ends the thread, an export under way included."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self.exporter.shutdown()

    def run(self) -> None:
        """Sends whatever is newest until stopped."""
        pause = 0.0
        while (snapshot := self._next(pause)) is not None:
            try:
                delivered = self._deliver(snapshot)
            except Exception as error:
                _log.exception("an export to %s could not be built", self.exporter.name)
                delivered = Delivered(self.exporter.name, snapshot, ok=False, error=f"{type(error).__name__}: {error}")
            self._results.put(delivered)
            pause = 0.0 if delivered.ok else min(LONGEST_RETRY, max(FIRST_RETRY, pause * 2))
            if not delivered.ok:
                with self._condition:
                    self._waiting = self._waiting or snapshot

    def _next(self, pause: float) -> Snapshot | None:
        """The newest snapshot, once there is one and the pause after a failure is over; None at the end."""
        with self._condition:
            if pause:
                self._condition.wait_for(lambda: self._stopping or self._retry_now, timeout=pause)
            self._condition.wait_for(lambda: self._stopping or self._waiting is not None)
            self._retry_now = False
            if self._stopping:
                return None
            snapshot, self._waiting = self._waiting, None
            return snapshot

    def _deliver(self, snapshot: Snapshot) -> Delivered:
        delta = self.exporter.temporality is AggregationTemporality.DELTA
        points = delta_points(snapshot.points, self._baseline) if delta else snapshot.points
        moved: dict[SeriesKey, Baseline] = {}
        rejected, note = 0, None
        for portion in requests(points):
            data = metrics_data(portion, self._resource, snapshot.now_ns, temporality=self.exporter.temporality)
            outcome = self.exporter.export(data)
            if not outcome.ok:
                return Delivered(self.exporter.name, snapshot, ok=False, error=outcome.error, baseline=moved)
            rejected += outcome.rejected_points
            note = outcome.error or note
            if delta:
                changed = accepted(portion, self._baseline, snapshot.now_ns)
                self._baseline.update(changed)
                moved.update(changed)
        return Delivered(self.exporter.name, snapshot, ok=True, error=note, rejected_points=rejected, baseline=moved)
