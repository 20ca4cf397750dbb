"""All deliveries of one daemon. This module wakes the workers, counts what was given up, and answers a flush."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure
from claude_hooks_otel.delivery.items import ItemWorker
from claude_hooks_otel.delivery.measurement_log import MeasurementLog
from claude_hooks_otel.delivery.measurements import MeasurementWorker
from claude_hooks_otel.delivery.metrics import MetricWorker
from claude_hooks_otel.delivery.outbox import Outbox
from claude_hooks_otel.delivery.snapshots import Snapshots
from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.home.flush_requests import FlushAnswer
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.program_gauges import program_gauges
from claude_hooks_otel.series.totals import SeriesTotals, read_exported_points
from claude_hooks_otel.settings import OutboxConfig
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.timeline import FLUSH_TIMEOUT, MEASUREMENT_KEPT, SAMPLE_EVERY, SHUTDOWN_TIMEOUT, TRIM_EVERY
from claude_hooks_otel.units import HOUR

_MEGABYTE = 1_000_000

_log = logging.getLogger(__name__)


class Deliveries:
    """The workers of one daemon. The constructor starts them.

    Args:
        store: the store in which everything waits.
        totals: the series.
        snapshots: takes snapshots of the series.
        outbox: where spans and log events wait.
        log: where measurements wait.
        metric_workers: workers for exporters of metrics.
        item_workers: workers for exporters of spans and log events.
        measurement_workers: workers for custom exporters.
        states: every configured exporter, even if it could not be built.
        delay: how long changes gather before they are exported together, in seconds.
        interval: how long until unchanged totals are exported again, in seconds.
        bounds: the limits of the outbox.
        may_expire: whether what has waited for too long may be given up now.
    """

    def __init__(
        self,
        store: Store,
        totals: SeriesTotals,
        snapshots: Snapshots,
        outbox: Outbox,
        log: MeasurementLog,
        *,
        metric_workers: Sequence[MetricWorker],
        item_workers: Sequence[ItemWorker],
        measurement_workers: Sequence[MeasurementWorker],
        states: Sequence[ExporterState],
        delay: float,
        interval: float,
        bounds: OutboxConfig,
        may_expire: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._totals = totals
        self._snapshots = snapshots
        self._outbox = outbox
        self._log = log
        self._metrics, self._items, self._measurements = metric_workers, item_workers, measurement_workers
        self._workers: tuple[Worker, ...] = (*metric_workers, *item_workers, *measurement_workers)
        self._states = states
        self._delay = delay
        self._interval = interval
        self._bounds = bounds
        self._may_expire = may_expire
        self._submitted_changes = self._seen_changes = self._seen_items = -1
        self._changed_at: float | None = None
        self._submitted_at = self._trimmed_at = self._sampled_at = float("-inf")
        self._counted_failures = dict.fromkeys(self._workers, 0)
        self._counted_drops = 0
        self._sampled: list[SeriesPoint] = []
        with store.transaction():
            configure(store.connection, states)
            log.open([worker.exporter_name for worker in measurement_workers])
        for worker in self._workers:
            worker.start()

    def describe(self) -> str:
        """Return one line for people."""
        described = (f"{state.signal}: {state.description}" for state in self._states if state.description)
        return "; ".join(described) or "only the embedded store"

    # -- the loop --------------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Tell the workers what is new, count failures and what was given up, and keep what waits within its limits."""
        self._submit_if_pending()
        self._wake()
        self._sample()
        self._leave_out()
        self._count_failures()
        now = time.monotonic()
        if now - self._trimmed_at >= TRIM_EVERY:
            self._trimmed_at = now
            self._trim()
        if (dropped := sum(worker.dropped for worker in self._items)) != self._counted_drops:
            self._counted_drops = dropped
            self._count_dropped()

    def _submit_if_pending(self) -> None:
        """Submit a snapshot if changes have gathered long enough, or if the interval is over."""
        if not self._metrics:
            return
        now = time.monotonic()
        if self._totals.changes != self._submitted_changes:
            self._changed_at = now if self._changed_at is None else self._changed_at
        has_news = self._changed_at is not None and now - self._changed_at >= self._delay
        if has_news or now - self._submitted_at >= self._interval:
            self._submit()

    def _submit(self, *, recompute: bool = False) -> None:
        snapshot = self._snapshots.take(recompute=recompute)
        self._submitted_changes, self._submitted_at, self._changed_at = snapshot.changes, time.monotonic(), None
        for worker in self._metrics:
            worker.submit(snapshot)

    def _wake(self) -> None:
        if self._outbox.written != self._seen_items:
            self._seen_items = self._outbox.written
            for worker in self._items:
                worker.wake()
        if self._totals.changes != self._seen_changes:
            self._seen_changes = self._totals.changes
            for custom in self._measurements:
                custom.wake()

    def _sample(self) -> None:
        """Write the current gauges into the measurement log, every SAMPLE_EVERY seconds."""
        if not self._measurements or time.monotonic() - self._sampled_at < SAMPLE_EVERY:
            return
        self._sampled_at = time.monotonic()
        self._sampled = self._snapshots.gauges()
        with self._store.transaction():
            self._log.append([(point.metric, point.labels, point.value, None) for point in self._sampled])
        for worker in self._measurements:
            worker.wake()

    def _leave_out(self) -> None:
        """Stop writing for endpoints that do not take a signal."""
        for worker in self._items:
            if worker.not_sent is not None and self._outbox.wants_for(worker.signal, worker.exporter_name):
                with self._store.transaction():
                    self._outbox.leave_out(worker.signal, worker.exporter_name)

    def _count_failures(self) -> None:
        for worker in (*self._metrics, *self._items):
            failures = worker.failures - self._counted_failures[worker]
            if not failures:
                continue
            self._counted_failures[worker] += failures
            label = worker.exporter_name if worker.signal == "metrics" else f"{worker.exporter_name}-{worker.signal}"
            is_new = self._submitted_changes != self._totals.changes
            with self._store.transaction():
                self._totals.add(catalog.EXPORT_FAILURES, (("exporter", label),), failures)
            if not is_new:  # the count of a failure alone does not cause an export: the worker tries again by itself
                self._submitted_changes = self._totals.changes

    def _trim(self) -> None:
        now_ns, may_expire = self._store.now_ns(), self._may_expire()
        oldest_ns = now_ns - round(self._bounds.max_age_hours * HOUR) if may_expire else 0
        with self._store.transaction():
            outbox.trim(self._store.connection, round(self._bounds.max_megabytes * _MEGABYTE), oldest_ns)
            if self._measurements:
                self._log.trim(oldest_ns=MEASUREMENT_KEPT if may_expire else now_ns)
        self._count_dropped()  # a daemon that died may have left something uncounted

    def _count_dropped(self) -> None:
        if not outbox.has_dropped(self._store.connection):
            return
        with self._store.transaction():
            for signal, reason, items in outbox.take_dropped(self._store.connection):
                self._totals.add(catalog.RECORDS_DROPPED, (("reason", reason), ("signal", signal)), items)
                _log.warning("%d items of %s were given up: %s", items, signal, reason)

    # -- flush and end ---------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> FlushAnswer:
        """Deliver everything now, even to endpoints that failed before, and wait for every endpoint's answer.

        Args:
            timeout: how long to wait for all of them, in seconds.
        """
        if self._metrics:
            self._submit(recompute=True)
        self._wake()
        before = {worker: (worker.delivered, worker.dropped) for worker in self._workers}
        answers = self._deliver_now(timeout)
        broken = {state.title: state.error for state in self._states if state.title not in answers}
        not_sent = {worker.title: worker.not_sent for worker in self._workers if worker.not_sent is not None}
        exporters = {title: answer for title, answer in {**answers, **broken}.items() if title not in not_sent}
        return FlushAnswer(
            exporters,
            not_sent,
            accepted={worker.title: worker.delivered - before[worker][0] for worker in self._workers},
            given_up={
                worker.title: given_up for worker in self._workers if (given_up := worker.dropped - before[worker][1])
            },
        )

    def _deliver_now(self, timeout: float) -> dict[str, str | None]:
        """Ask every worker to deliver now. Return the answers by the workers' titles."""
        asked = [(worker, worker.ask()) for worker in self._workers]
        end = time.monotonic() + timeout
        answers = {worker.title: worker.answer(number, max(0.0, end - time.monotonic())) for worker, number in asked}
        self._count_failures()
        return answers

    def series_now(self) -> list[SeriesPoint]:
        """Return every series as it is now, but gauges from their last sample. May be called from any thread."""
        with contextlib.closing(connect(self._store.path, readonly=True)) as connection:
            totals, gauges = read_exported_points(connection, catalog.CATALOG), self._sampled
            return [*totals, *gauges, *program_gauges(connection, gauges)]

    def abandon(self) -> None:
        """End all threads without another delivery."""
        for worker in self._workers:
            worker.stop()
        end = time.monotonic() + SHUTDOWN_TIMEOUT
        for worker in self._workers:
            worker.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Deliver what is new within the shutdown timeout, and end all threads. What still waits stays in the store."""
        self._wake()
        if any(w.accepted is None or w.accepted.changes != self._totals.changes for w in self._metrics):
            with contextlib.suppress(OSError):  # too many open files: the next daemon exports them
                self._submit(recompute=True)
        self._deliver_now(SHUTDOWN_TIMEOUT)
        self.abandon()
        self._count_dropped()
