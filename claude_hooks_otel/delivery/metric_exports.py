"""When the series go out: soon after a change, again and again while nothing changes, at once when somebody asks."""

from __future__ import annotations

import json
import logging
import queue
import time
from collections.abc import Callable, Iterable, Mapping

from claude_hooks_otel.daemon.pipeline import Pipeline
from claude_hooks_otel.delivery.metrics import Delivered, Delivery, Snapshot
from claude_hooks_otel.export.exporters import NamedExporter, build_metric_exporters
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.export.temporality import Baseline, SeriesKey
from claude_hooks_otel.facts.pricing import price_table_version
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.program_gauges import sdk_gauges
from claude_hooks_otel.settings.config import ConfigError

# OTEL_METRIC_EXPORT_INTERVAL's default, milliseconds: unchanged totals are sent again this often, because a Collector's
# Prometheus exporter forgets what it has not heard for five minutes.
DEFAULT_INTERVAL_MS = 60_000
# Seconds a flush waits for an endpoint at most; the exporters' own timeout is shorter by default.
FLUSH_PATIENCE = 30.0
# Seconds that leaving may take.
FAREWELL = 3.0

_log = logging.getLogger(__name__)


class Exports:
    """All exporters of one daemon.

    Args:
        pipeline: whose series.
        environment: the ``OTEL_*`` variables in effect.
        delay: seconds that changes gather before they go out.
        other_gauges: gauges that somebody else reckons, as of a time.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        environment: Mapping[str, str],
        delay: float,
        other_gauges: Callable[[int], Iterable[SeriesPoint]] = lambda _: (),
    ) -> None:
        self._pipeline = pipeline
        self._delay = delay
        self._other_gauges = other_gauges
        self._interval = _interval_seconds(environment)
        self.config_error: str | None = None
        try:
            exporters = build_metric_exporters(environment)
        except ConfigError as error:
            _log.error("nothing is exported: %s", error)
            self.config_error, exporters = str(error), []
        resource = service_resource(environment, pipeline.store.meta("instance_id", ""))
        self._results: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
        self._deliveries = [Delivery(e, resource, self._baseline(e.name), self._results) for e in exporters]
        for delivery in self._deliveries:
            delivery.start()
        self._number = 0
        self._submitted_changes = -1
        self._submitted_at = float("-inf")
        self._dirty_since: float | None = None
        self._last_ok_ns: dict[str, int] = {}
        self._accepted_changes: dict[str, int] = {}  # by exporter: the book's count of changes in what it last accepted
        self._failing: set[str] = set()
        self._remember(exporters)

    def describe(self) -> str:
        """One line for people."""
        return "; ".join(delivery.exporter.describe() for delivery in self._deliveries) or "the embedded store alone"

    def _remember(self, exporters: list[NamedExporter]) -> None:
        """Leaves in the store what ``status`` and ``doctor`` show."""
        with self._pipeline.store.transaction():
            self._pipeline.store.set_meta("exporters", json.dumps([[e.name, e.describe()] for e in exporters]))
            self._pipeline.store.set_meta("config_error", self.config_error or "")
        for exporter in exporters:
            self._last_ok_ns[exporter.name] = int(self._pipeline.store.meta(f"export.{exporter.name}.ok_ns", "0"))

    def _baseline(self, name: str) -> dict[SeriesKey, Baseline]:
        rows = self._pipeline.store.connection.execute(
            "SELECT metric, labels, value, buckets, time_ns FROM baseline WHERE exporter = ?", (name,)
        )
        return {
            (metric, tuple((key, text) for key, text in json.loads(labels))): Baseline(
                value, tuple(json.loads(buckets)), time_ns
            )
            for metric, labels, value, buckets, time_ns in rows
        }

    # -- sending -----------------------------------------------------------------------------------------------------------

    def submit_if_due(self) -> None:
        """Hands the exporters a snapshot if there is news that has gathered long enough, or if the interval is over."""
        if not self._deliveries:
            return
        now = time.monotonic()
        if self._pipeline.book.changes != self._submitted_changes:
            self._dirty_since = now if self._dirty_since is None else self._dirty_since
        news = self._dirty_since is not None and now - self._dirty_since >= self._delay
        if news or now - self._submitted_at >= self._interval:
            self.submit()

    def submit(self, *, urgent: bool = False) -> Snapshot:
        """Hands the exporters the series as they stand."""
        self._number += 1
        self._submitted_changes, self._submitted_at, self._dirty_since = (
            self._pipeline.book.changes,
            time.monotonic(),
            None,
        )
        now_ns = self._pipeline.now_ns()
        series = list(self._pipeline.book.points())
        computed = self._computed_gauges(series, now_ns, anew=urgent)
        points = [
            *self._pipeline.exemplars.added_to(series),
            *computed,
            *sdk_gauges(self._pipeline.store.connection, computed),
        ]
        snapshot = Snapshot(self._number, self._submitted_changes, now_ns, points)
        for delivery in self._deliveries:
            delivery.submit(snapshot, urgent=urgent)
        return snapshot

    def gauges_now(self) -> list[SeriesPoint]:
        """Every gauge that is computed from the facts, as of now."""
        return self._computed_gauges(list(self._pipeline.book.points()), self._pipeline.now_ns(), anew=False)

    def _computed_gauges(self, series: list[SeriesPoint], now_ns: int, *, anew: bool) -> list[SeriesPoint]:
        scores = self._pipeline.scores.points(series, now_ns, anew=anew)
        own = [*self._own_gauges(now_ns), *self._other_gauges(now_ns)]
        return [*gauges(self._pipeline.store, now_ns), *scores, *own]

    def _own_gauges(self, now_ns: int) -> list[SeriesPoint]:
        found = [
            SeriesPoint(catalog.SPOOL_DEPTH, (), now_ns, self._pipeline.spool.depth()),
            SeriesPoint(catalog.PRICE_TABLE, (("version", price_table_version()),), now_ns, 1),
        ]
        for name, ok_ns in self._last_ok_ns.items():
            if ok_ns:
                found.append(SeriesPoint(catalog.EXPORT_AGE, (("exporter", name),), now_ns, max(0, now_ns - ok_ns)))
        return found

    def collect(self) -> None:
        """Writes down how exports ended."""
        while not self._results.empty():
            self._record(self._results.get())

    def _record(self, delivered: Delivered) -> None:
        name, store = delivered.exporter, self._pipeline.store
        if delivered.ok == (name in self._failing):
            if delivered.ok:
                self._failing.discard(name)
                _log.info("%s accepts exports again", name)
            else:
                self._failing.add(name)
        with store.transaction():
            if delivered.ok:
                self._last_ok_ns[name] = delivered.snapshot.now_ns
                self._accepted_changes[name] = delivered.snapshot.changes
                store.set_meta(f"export.{name}.ok_ns", str(delivered.snapshot.now_ns))
            else:
                self._pipeline.book.add(catalog.EXPORT_FAILURES, (("exporter", name),), 1)
            store.set_meta(f"export.{name}.error", delivered.error or "")
            store.connection.executemany(
                "INSERT OR REPLACE INTO baseline VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (name, metric, json.dumps(labels), base.time_ns, base.value, json.dumps(base.bucket_counts))
                    for (metric, labels), base in delivered.baseline.items()
                ],
            )
        if delivered.ok:
            return
        # The failure's own count is no reason to export again at once: the delivery retries by itself.
        if self._submitted_changes == self._pipeline.book.changes - 1:
            self._submitted_changes = self._pipeline.book.changes
        if name in self._failing:
            _log.warning("%s did not accept an export: %s", name, delivered.error)

    def flush(self) -> dict[str, str | None]:
        """Exports now and waits; returns for each exporter None, or why it failed."""
        return self._send_now(FLUSH_PATIENCE)

    def _send_now(self, patience: float) -> dict[str, str | None]:
        """Sends the series as they stand and waits some seconds for every endpoint's answer to them."""
        if not self._deliveries:
            return {}
        snapshot = self.submit(urgent=True)
        outcome: dict[str, str | None] = {
            delivery.exporter.name: f"no answer within {patience:g} s" for delivery in self._deliveries
        }
        open_names = set(outcome)
        deadline = time.monotonic() + patience
        while open_names and (left := deadline - time.monotonic()) > 0:
            try:
                delivered = self._results.get(timeout=left)
            except queue.Empty:
                break
            self._record(delivered)
            if delivered.snapshot.number >= snapshot.number:
                outcome[delivered.exporter] = None if delivered.ok else delivered.error or "refused without a reason"
                open_names.discard(delivered.exporter)
        return outcome

    def close(self) -> None:
        """One last try with what is new, then the end of all threads."""
        self.collect()
        if any(
            self._accepted_changes.get(delivery.exporter.name) != self._pipeline.book.changes
            for delivery in self._deliveries
        ):
            self._send_now(FAREWELL)
        for delivery in self._deliveries:
            delivery.stop()
        for delivery in self._deliveries:
            delivery.join(FAREWELL)


def _interval_seconds(environment: Mapping[str, str]) -> float:
    """``OTEL_METRIC_EXPORT_INTERVAL`` in seconds; its default where it is no positive number of milliseconds."""
    text = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    return (int(text) if text.isdigit() and int(text) > 0 else DEFAULT_INTERVAL_MS) / 1000
