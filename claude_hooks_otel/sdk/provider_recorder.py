"""Records into the OpenTelemetry providers of the host program, for services that have their own.

A program record becomes the same facts as in the daemon, and these move the same series. Here, each series is an instrument of the host.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace

from claude_hooks_otel import __version__
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_programs import facts_of, measurement_labels
from claude_hooks_otel.facts.projects import project_name
from claude_hooks_otel.metrics.declared import SCALE, metric_of
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels, resolve_identity
from claude_hooks_otel.series.projection import apply_change
from claude_hooks_otel.sources import program_records

SCOPE = "claude_monitoring"

_log = logging.getLogger("claude_monitoring")


class ProviderRecorder:
    """Moves instruments and opens spans.

    Args:
        meter_provider: the provider of the instruments. None takes the host's global one.
        tracer_provider: the provider of the spans. None takes the host's global one.

    Attributes:
        lost: how many program records could not be recorded.
    """

    def __init__(
        self, meter_provider: metrics.MeterProvider | None, tracer_provider: trace.TracerProvider | None
    ) -> None:
        self.lost = 0
        self._meter = (meter_provider or metrics.get_meter_provider()).get_meter(SCOPE, __version__)
        self._tracer = (tracer_provider or trace.get_tracer_provider()).get_tracer(SCOPE, __version__)
        self._instruments: dict[str, Any] = {}
        self._open_tasks: dict[str, model.Task] = {}
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()  # a thread that the child does not have may have held the old one

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Move the instruments of one program record. A failure is counted, and logged the first time; it never raises."""
        try:
            record = program_records.parse(event, json.dumps(payload).encode())
            directory = headers.get("project_directory", "")
            identity = resolve_identity(headers, project_name=lambda: project_name(directory))
            for fact in facts_of(record, identity):
                self._apply(fact)
        except Exception as error:
            self.lost += 1
            if self.lost == 1:
                _log.warning("a measurement could not be recorded: %s", error)

    def open(self, name: str) -> contextlib.AbstractContextManager[trace.Span]:
        """Return a context in which a span of the host's tracer is the current one."""
        return self._tracer.start_as_current_span(name)

    def _apply(self, fact: model.Fact) -> None:
        if isinstance(fact, model.Measurement) and fact.kind == Kind.GAUGE:
            metric = metric_of(fact.name, fact.kind, fact.unit or "")
            self._instrument(metric).set((fact.value or 0) / SCALE, dict(measurement_labels(fact)))
            return
        old = None
        if isinstance(fact, model.Task):
            with self._lock:
                old = self._open_tasks.pop(fact.task_id, None)
                if old is None:
                    self._open_tasks[fact.task_id] = fact
        apply_change([self], old, old.merged(fact) if isinstance(fact, model.Task) and old else fact)

    def add(
        self,
        metric: Metric,
        labels: Labels,
        amount: int,
        at_ns: int | None = None,  # noqa: ARG002
        session_id: str | None = None,  # noqa: ARG002
    ) -> None:
        """Move an instrument by an amount in stored units. The signature is that of ``SeriesTotals.add``."""
        value = amount if metric.scale == 1 else amount / metric.scale
        instrument = self._instrument(metric)
        (instrument.record if metric.kind is Kind.HISTOGRAM else instrument.add)(value, dict(labels))

    def _instrument(self, metric: Metric) -> Any:
        with self._lock:
            if metric.name not in self._instruments:
                self._instruments[metric.name] = self._create(metric)
            return self._instruments[metric.name]

    def _create(self, metric: Metric) -> Any:
        arguments: dict[str, Any] = {"unit": metric.unit, "description": metric.meaning}
        match metric.kind:
            case Kind.COUNTER:
                return self._meter.create_counter(metric.name, **arguments)
            case Kind.GAUGE:
                return self._meter.create_gauge(metric.name, **arguments)
            case Kind.HISTOGRAM:
                bounds = list(metric.buckets)
                return self._meter.create_histogram(
                    metric.name, explicit_bucket_boundaries_advisory=bounds, **arguments
                )
