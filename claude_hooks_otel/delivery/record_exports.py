"""The spans and log events of one daemon: who wants them, who writes them, who delivers them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.daemon.pipeline import Pipeline
from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.record_delivery import RecordDelivery
from claude_hooks_otel.export.record_exporters import RecordExporter, build_record_exporters
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.export.sampling import turn_sampler
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.export.stock import exporter_names
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import Exemplar, SeriesPoint
from claude_hooks_otel.series.projection import contributions
from claude_hooks_otel.settings.config import Config, ConfigError
from claude_hooks_otel.traces.gen_ai_metrics import GenAiMetrics
from claude_hooks_otel.traces.model import Span
from claude_hooks_otel.traces.writer import RecordWriter, SpanObserver
from claude_hooks_otel.units import SECOND

# Seconds between looks at the outbox's bounds.
TRIM_EVERY = 60.0
# Seconds a flush waits for an endpoint at most, and leaving does.
FLUSH_PATIENCE, FAREWELL = 30.0, 3.0
_SIGNALS = (Signal.TRACES, Signal.LOGS)
_MEGABYTE, _HOUR_NS = 1_000_000, 3600 * SECOND

_log = logging.getLogger(__name__)


def are_exported(environment: Mapping[str, str]) -> bool:
    """Whether the variables in effect ask for spans or log events at all; before there is a pipeline that could write any."""
    try:
        return any(exporter_names(environment, signal) for signal in _SIGNALS)
    except ConfigError:
        return False  # building them will say so


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
        resource = service_resource(environment, pipeline.store.meta("instance_id", ""))
        exporters = [exporter for signal in _SIGNALS for exporter in self._build(environment, signal, resource)]
        # Signal → who wants it; the writer reads it each time, for an endpoint may turn out to take none of it.
        self._wanted: dict[str, set[str]] = {
            signal: {exporter.name for exporter in exporters if exporter.signal == signal} for signal in _SIGNALS
        }
        self._writer = self._write_for(environment, config)
        self._deliveries = [RecordDelivery(exporter, pipeline.store.path) for exporter in exporters]
        self._counted_failures = dict.fromkeys(self._deliveries, 0)
        self._counted_drops = 0
        self._told = -1  # how many records had been written when the threads were last told
        self._asked: list[tuple[RecordDelivery, int]] = []
        self._asked_until = 0.0
        self._trimmed_at = float("-inf")
        with pipeline.store.transaction():
            # What waits for an exporter that is gone goes on waiting, until it is too old: this may be a slip of the configuration.
            pipeline.store.set_meta(
                "record_exporters", json.dumps([[e.signal, e.name, e.describe()] for e in exporters])
            )
            pipeline.store.set_meta("record_config_errors", json.dumps(self.config_errors))
        for delivery in self._deliveries:
            delivery.start()

    def _build(self, environment: Mapping[str, str], signal: Signal, resource: Resource) -> list[RecordExporter]:
        try:
            return build_record_exporters(environment, signal, resource)
        except ConfigError as error:
            _log.error("no %s are exported: %s", signal, error)
            self.config_errors.append(str(error))
            return []

    def _write_for(self, environment: Mapping[str, str], config: Config) -> RecordWriter | None:
        """Who writes what the exporters and observers want; None where nobody wants anything."""
        on_spans: list[SpanObserver] = []
        if config.metrics.gen_ai:
            on_spans.append(GenAiMetrics(self._pipeline.book).observe)
        if not any(self._wanted.values()) and not on_spans:
            return None
        sampler = turn_sampler(environment)
        for warning in sampler.warnings:
            _log.warning("%s", warning)
        writer = RecordWriter(
            self._pipeline.store,
            self._wanted,
            sample=sampler,
            follow_traceparent=config.traces.follow_traceparent,
            on_spans=on_spans,
            on_sent_spans=[self._keep_exemplars],
        )
        self._pipeline.keep_records(writer)
        return writer

    def _keep_exemplars(self, spans: Sequence[Span]) -> None:
        """Has the histograms that the spans' facts were counted in point at them."""
        exemplars = self._pipeline.exemplars
        exemplars.forget_old()
        for span in spans:
            for (metric, labels), amount in contributions(span.fact).items():
                if metric.kind is Kind.HISTOGRAM:
                    exemplars.keep(metric, labels, Exemplar(amount, span.end_ns, span.trace_id, span.span_id))

    def describe(self) -> str:
        """One line for people; empty where nothing is sent."""
        return "; ".join(f"{delivery.exporter.signal}: {delivery.exporter.describe()}" for delivery in self._deliveries)

    def gauges(self, now_ns: int) -> list[SeriesPoint]:
        """How much waits of each signal that is exported."""
        depth = outbox.depth(self._pipeline.store.connection)
        return [
            SeriesPoint(catalog.RECORDS_WAITING, (("signal", signal),), now_ns, depth.get(signal, 0))
            for signal in {delivery.exporter.signal: None for delivery in self._deliveries}
        ]

    def work(self) -> None:
        """Tells the threads of news, counts what was given up, keeps the outbox within its bounds."""
        self._tell()
        self._leave_out()
        self._count_failures()
        if time.monotonic() - self._trimmed_at >= TRIM_EVERY:
            self._trimmed_at = time.monotonic()
            oldest_ns = self._pipeline.now_ns() - round(self._bounds.max_age_hours * _HOUR_NS)
            with self._pipeline.store.transaction():
                outbox.trim(self._pipeline.store.connection, round(self._bounds.max_megabytes * _MEGABYTE), oldest_ns)
            self._count_dropped()  # now and then in any case: a daemon that died may have left some uncounted
        if (dropped := sum(delivery.dropped for delivery in self._deliveries)) != self._counted_drops:
            self._counted_drops = dropped
            self._count_dropped()

    def _tell(self) -> None:
        if self._writer is not None and self._writer.written != self._told:
            self._told = self._writer.written
            for delivery in self._deliveries:
                delivery.wake()

    def _leave_out(self) -> None:
        """Has nothing more written for endpoints that turned out to take none of a signal."""
        for delivery in self._deliveries:
            signal, name = delivery.exporter.signal, delivery.exporter.name
            if delivery.is_off and name in self._wanted[signal]:
                self._wanted[signal].discard(name)
                with self._pipeline.store.transaction():
                    outbox.discard(self._pipeline.store.connection, signal, name)

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

    def ask(self) -> None:
        """Asks the threads to send all that waits now, whatever failed before; ``answers`` tells how that ended."""
        self._asked = [(delivery, delivery.ask()) for delivery in self._deliveries]
        self._asked_until = time.monotonic() + FLUSH_PATIENCE

    def answers(self) -> dict[str, str | None]:
        """For each exporter and signal None, or why not all is accepted that waited when it was asked for."""
        return {
            f"{delivery.exporter.name} {delivery.exporter.signal}": delivery.answer(
                number, max(0.0, self._asked_until - time.monotonic())
            )
            for delivery, number in self._asked
        }

    def close(self) -> None:
        """Gives what is under way a moment, then ends all threads; what waits goes on waiting in the store."""
        self._tell()
        deadline = time.monotonic() + FAREWELL
        for delivery in self._deliveries:
            delivery.finish(max(0.0, deadline - time.monotonic()))
        for delivery in self._deliveries:
            delivery.stop()
        for delivery in self._deliveries:
            delivery.join(FAREWELL)
        self._count_dropped()
