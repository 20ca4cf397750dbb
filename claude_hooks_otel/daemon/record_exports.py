"""The spans and log events of one daemon: who wants them, who writes them, who delivers them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

from claude_hooks_otel.config import Config, ConfigError
from claude_hooks_otel.daemon.pipeline import Pipeline
from claude_hooks_otel.daemon.record_delivery import RecordDelivery
from claude_hooks_otel.export.record_exporters import RecordExporter, build_record_exporters
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.export.sampling import turn_sampler
from claude_hooks_otel.records import outbox
from claude_hooks_otel.records.outbox import LOGS, TRACES
from claude_hooks_otel.records.writer import RecordWriter, SpanObserver
from claude_hooks_otel.series import catalog

SECOND = 1_000_000_000  # nanoseconds
# Seconds between looks at the outbox's bounds.
TRIM_EVERY = 60.0
# Seconds a flush waits for an endpoint at most, and leaving does.
FLUSH_PATIENCE, FAREWELL = 30.0, 3.0
_MEGABYTE, _HOUR_NS = 1_000_000, 3600 * SECOND

_log = logging.getLogger(__name__)


class RecordExports:
    """All exporters of spans and log events of one daemon.

    Args:
        pipeline: whose facts.
        environment: the ``OTEL_*`` variables in effect.
        config: the outbox' bounds, and what is wanted beside.
    """

    def __init__(self, pipeline: Pipeline, environment: Mapping[str, str], config: Config) -> None:
        self._pipeline = pipeline
        self._bounds = config.outbox
        self.config_errors: list[str] = []
        exporters = [exporter for signal in (TRACES, LOGS) for exporter in self._build(environment, signal)]
        self._writer = self._write_for(exporters, environment, config)
        self._deliveries = [RecordDelivery(exporter, pipeline.store.path) for exporter in exporters]
        self._counted_failures = dict.fromkeys(self._deliveries, 0)
        self._delivered = -1
        self._trimmed_at = float("-inf")
        with pipeline.store.transaction():
            outbox.keep_only(
                pipeline.store.connection, {(exporter.signal, exporter.name) for exporter in exporters}
            )
            pipeline.store.set_meta(
                "record_exporters", json.dumps([[e.signal, e.name, e.describe()] for e in exporters])
            )
        for delivery in self._deliveries:
            delivery.start()

    def _build(self, environment: Mapping[str, str], signal: str) -> list[RecordExporter]:
        resource = service_resource(environment, self._pipeline.store.meta("instance_id", ""))
        try:
            return build_record_exporters(environment, signal, resource)
        except ConfigError as error:
            _log.error("no %s are exported: %s", signal, error)
            self.config_errors.append(str(error))
            return []

    def _write_for(
        self, exporters: list[RecordExporter], environment: Mapping[str, str], config: Config
    ) -> RecordWriter | None:
        """Who writes what the exporters and observers want; None where nobody wants anything."""
        observers: list[SpanObserver] = []
        if not exporters and not observers:
            return None
        wanted: dict[str, set[str]] = {TRACES: set(), LOGS: set()}
        for exporter in exporters:
            wanted[exporter.signal].add(exporter.name)
        writer = RecordWriter(
            self._pipeline.store,
            wanted,
            sample=turn_sampler(environment),
            follow_traceparent=config.traces.follow_traceparent,
            on_spans=observers,
        )
        self._wanted = wanted
        self._pipeline.keep_records(writer)
        return writer

    def describe(self) -> str:
        """One line for people; empty where nothing is sent."""
        return "; ".join(f"{delivery.exporter.signal}: {delivery.exporter.describe()}" for delivery in self._deliveries)

    def work(self) -> None:
        """Tells the threads of news, counts what was given up, keeps the outbox within its bounds."""
        if self._writer is None:
            return
        if self._writer.written != self._delivered:
            self._delivered = self._writer.written
            for delivery in self._deliveries:
                delivery.wake()
        for delivery in self._deliveries:
            if delivery.is_off:
                self._wanted[delivery.exporter.signal].discard(delivery.exporter.name)
        self._count_failures()
        if time.monotonic() - self._trimmed_at >= TRIM_EVERY:
            self._trimmed_at = time.monotonic()
            with self._pipeline.store.transaction():
                self._trim()
        self._count_dropped()

    def _trim(self) -> None:
        oldest_ns = self._pipeline.now_ns() - round(self._bounds.max_age_hours * _HOUR_NS)
        outbox.trim(self._pipeline.store.connection, round(self._bounds.max_megabytes * _MEGABYTE), oldest_ns)

    def _count_failures(self) -> None:
        for delivery, counted in self._counted_failures.items():
            if delivery.failures > counted:
                labels = (("exporter", f"{delivery.exporter.name}-{delivery.exporter.signal}"),)
                with self._pipeline.store.transaction():
                    self._pipeline.book.add(catalog.EXPORT_FAILURES, labels, delivery.failures - counted)
                self._counted_failures[delivery] = delivery.failures

    def _count_dropped(self) -> None:
        if not outbox.has_dropped(self._pipeline.store.connection):
            return
        with self._pipeline.store.transaction():
            for signal, reason, records in outbox.take_dropped(self._pipeline.store.connection):
                labels = (("reason", reason), ("signal", signal))
                self._pipeline.book.add(catalog.RECORDS_DROPPED, labels, records)
                _log.warning("%d %s records were given up: %s", records, signal, reason)

    def flush(self, patience: float = FLUSH_PATIENCE) -> dict[str, str | None]:
        """Has everything sent that waits; returns for each exporter and signal None, or why it was not."""
        asked = [(delivery, delivery.ask()) for delivery in self._deliveries]
        deadline = time.monotonic() + patience
        return {
            f"{delivery.exporter.name} {delivery.exporter.signal}": delivery.answer(
                number, max(0.0, deadline - time.monotonic())
            )
            for delivery, number in asked
        }

    def close(self) -> None:
        """One last try with what waits, then the end of all threads."""
        if any(outbox.depth(self._pipeline.store.connection).values()):
            self.flush(FAREWELL)
        for delivery in self._deliveries:
            delivery.stop()
        for delivery in self._deliveries:
            delivery.join(FAREWELL)
        if self._writer is not None:
            self._count_dropped()
