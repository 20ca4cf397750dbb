"""``AgentMonitor``: metrics, tasks, spans and errors of a program, measured as those of a session are. Standard library only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from claude_hooks_otel.metrics.declared import LARGEST_VALUE
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.resource_attributes import attribute_labels, resource_attributes
from claude_hooks_otel.sdk.names import MisuseError, Vocabulary, bounded, number, whole_number
from claude_hooks_otel.sdk.records import MEASUREMENT, SPAN, TASK, NullRecorder, Recorder, RecordWriter
from claude_hooks_otel.sdk.spool_recorder import SpoolRecorder
from claude_hooks_otel.sdk.tracked import Tracked

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from claude_hooks_otel.home.paths import Home

# More story points than this are a typing error, as in a session's tasks.
MOST_POINTS = 1000
_VARIABLES = {
    "agent": "CLAUDE_AGENT_ID",
    "project": "CLAUDE_AGENT_PROJECT",
    "team": "CLAUDE_AGENT_TEAM",
    "sprint": "CLAUDE_AGENT_SPRINT",
    "user": "CLAUDE_AGENT_USER",
}


class AgentMonitor:
    """Records metrics, tasks, spans and errors of one agent.

    Each call writes a file into the spool. What it records is safe once it returns, whether or not a daemon runs, and whatever
    happens to the program afterwards. There is nothing to close, but ``with AgentMonitor(...) as monitor`` works too. A monitor is safe
    in threads, asyncio and forked processes.

    Args:
        agent_id: the agent. The default is ``CLAUDE_AGENT_ID``, then ``agent.id`` of ``OTEL_RESOURCE_ATTRIBUTES``, then the
            configuration's agent.
        project_name: the project. The default is ``CLAUDE_AGENT_PROJECT``, then ``project.name`` of ``OTEL_RESOURCE_ATTRIBUTES``, then the
            configuration's project, then the project of the working directory.
        agent_level: the agent's level in a scheme of your own, from 0. It is recorded once, as the gauge ``agent_declared_level``.
        sprint: the sprint. The default is ``CLAUDE_AGENT_SPRINT``, then ``sprint`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        user: who uses the program. It counts only if the configuration has ``[labels] user = "variable"``. The default is
            ``CLAUDE_AGENT_USER``.
        team: the team. The default is ``CLAUDE_AGENT_TEAM``, then ``team`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        export_to_grafana: False checks every call but records nothing.
        labels: label keys that calls can use in addition to the catalog's.
        meter_provider: an OpenTelemetry provider to record measurements with, instead of the spool.
        tracer_provider: an OpenTelemetry provider to open spans with. If only one provider is given, the global one replaces the other.
        home: the home with the spool. The default is the one that the environment names.
        now_ns: the clock, Unix nanoseconds.

    Raises:
        MisuseError: a name is unbounded (a path, an identifier), or the level is not a whole number.

    >>> monitor = AgentMonitor(agent_id="Backend", project_name="book-cataloger", sprint="6B")
    >>> monitor.agent, monitor.project, monitor.sprint
    ('backend', 'book-cataloger', '6b')
    >>> monitor.increment("features_completed")
    >>> monitor.record_metric("api_calls", -1)
    Traceback (most recent call last):
    ...
    claude_hooks_otel.sdk.names.MisuseError: claude.api_calls is a counter: it only grows, -1 cannot be added; use a gauge
    """

    def __init__(
        self,
        agent_id: str | None = None,
        project_name: str | None = None,
        *,
        agent_level: int | None = None,
        sprint: str | int | None = None,
        team: str | None = None,
        user: str | None = None,
        export_to_grafana: bool = True,
        labels: Iterable[str] = (),
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        home: Home | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._vocabulary = Vocabulary(labels)
        set_outside = _labels_of_the_environment()
        self.agent = _own_label("agent_id", agent_id, set_outside["agent"])
        self.project = _own_label("project_name", project_name, set_outside["project"])
        self.team = _own_label("team", team, set_outside["team"])
        self.sprint = _own_label("sprint", sprint, set_outside["sprint"])
        self.user = _own_label("user", user, set_outside["user"])
        headers: dict[str, Any] = {label: getattr(self, label) for label in _VARIABLES}
        if not self.project:
            headers["project_directory"] = _working_directory()
        recorder = _recorder(export_to_grafana, meter_provider, tracer_provider, home)
        self._writer = RecordWriter(recorder, headers, now_ns)
        if agent_level is not None:
            self.gauge("agent_declared_level", whole_number(agent_level, "agent_level", 0, LARGEST_VALUE))

    @property
    def lost(self) -> int:
        """How many calls could not be recorded, for example because the disk was full."""
        return self._writer.recorder.lost

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return  # nothing waits in memory

    def register_label(self, key: str) -> None:
        """Let further calls use a label key of your own. Keep its values few: each combination of labels is a series.

        Raises:
            MisuseError: the key is invalid.

        >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
        >>> monitor.record_metric("api_calls", 1, labels={"customer": "acme"})
        Traceback (most recent call last):
        ...
        claude_hooks_otel.sdk.names.MisuseError: unknown label 'customer'; known for this metric: ...
        >>> monitor.register_label("customer")
        >>> monitor.record_metric("api_calls", 1, labels={"customer": "acme"})
        """
        self._vocabulary.register_label(key)

    # -- measurements --------------------------------------------------------------------------------------------------

    def record_metric(
        self, name: str, value: float = 1, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Record a value of a metric. A name of the catalog keeps its kind; any other name is a counter unless used otherwise.

        Args:
            name: ``api_calls`` becomes ``claude_api_calls_total`` in Prometheus. A name of the catalog is valid with or without
                ``claude_`` and ``_total``.
            value: the value in the metric's unit.
            labels: further labels. ``agent``, ``project``, ``team`` and ``sprint`` replace the monitor's own.
            unit: ``s``, ``%``, ``By`` or a word.

        Raises:
            MisuseError: the name, the value, a label or the unit is invalid for the metric.
        """
        self._measure(self._vocabulary.metric(name, None, unit), value, labels)

    def increment(
        self, name: str, value: float = 1, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Add a value to a counter. Arguments and errors are those of ``record_metric``; another kind is an error too."""
        self._measure(self._vocabulary.metric(name, Kind.COUNTER, unit), value, labels)

    def gauge(
        self, name: str, value: float, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Set a gauge. The newest value replaces the older ones. Arguments and errors are those of ``increment``."""
        self._measure(self._vocabulary.metric(name, Kind.GAUGE, unit), value, labels)

    def histogram(
        self, name: str, value: float, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Add an observation to a histogram; durations are in seconds. Arguments and errors are those of ``increment``."""
        self._measure(self._vocabulary.metric(name, Kind.HISTOGRAM, unit), value, labels)

    def record_cost(self, dollars: float, *, model: str = "unknown", agent_type: str = "sdk") -> None:
        """Add US dollars to ``claude_api_cost_usd_total``. Errors are those of ``record_metric``."""
        self.increment("api_cost_usd", dollars, {"model": model, "agent_type": agent_type})

    def _measure(self, metric: Metric, value: float, labels: Mapping[str, str] | None) -> None:
        checked = number(value, metric)
        found = self._vocabulary.labels(metric, labels)
        self._writer.write(
            MEASUREMENT,
            {"metric": metric.name, "kind": metric.kind, "unit": metric.unit, "value": checked, "labels": found},
        )

    def record_error(self, error: BaseException, *, labels: Mapping[str, str] | None = None) -> None:
        """Count an exception by its type (``claude_errors_total``). Its message is not recorded, because it can hold anything.

        An exception counts once, even if it leaves several tasks and spans and is recorded by this method as well.

        Raises:
            MisuseError: ``error`` is not an exception, or a label is invalid.
        """
        if not isinstance(error, BaseException):
            raise MisuseError(f"record_error: an exception is expected, not {type(error).__name__}")
        metric = self._vocabulary.metric("errors", Kind.COUNTER)
        self._writer.write_error(error, self._vocabulary.labels(metric, labels))

    # -- tasks and spans -----------------------------------------------------------------------------------------------

    def track_task(self, name: str, *, complexity: int | None = None, task_type: str | None = None) -> Tracked:
        """Return a context (``with`` or ``async with``) that records the duration, outcome and points of a task.

        If an exception leaves the context, the task has failed. That is recorded, and the exception propagates.

        Args:
            name: the name of the task. It is kept in the store and is never a label.
            complexity: story points, 1 to 1000. They count if the task succeeds.
            task_type: ``feature``, ``bug``, …. A ``feature`` that succeeds counts as a feature delivered.

        Raises:
            MisuseError: the name is empty, or the complexity is not a whole number from 1 to 1000.
        """
        if complexity is not None:
            whole_number(complexity, "complexity", 1, MOST_POINTS)
        kind = "task" if task_type is None else bounded(task_type, "task_type")
        return Tracked(self._writer, TASK, name, {"complexity": complexity, "task_type": kind})

    def span(self, name: str) -> Tracked:
        """Return a context (``with`` or ``async with``) that records a duration and an outcome. Spans nest.

        Args:
            name: the name of the span. It is the label ``span`` of ``claude_span_duration_seconds``.

        Raises:
            MisuseError: the name is empty, or it cannot be a label value.
        """
        return Tracked(self._writer, SPAN, name, {"label": bounded(name, "span name")})


def _own_label(what: str, value: object, default: str) -> str:
    """Return a label of the monitor's own: the caller's value, checked, or the environment's, which the daemon normalizes."""
    return bounded(value, what) if value is not None else default


def _labels_of_the_environment() -> dict[str, str]:
    """Return what the environment sets for each label: ``CLAUDE_AGENT_*`` first, then ``OTEL_RESOURCE_ATTRIBUTES``.

    Attributes that cannot be decoded are left out, as OpenTelemetry's specification says.
    """
    try:
        named = attribute_labels(resource_attributes(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    except ValueError:
        named = {}
    return {label: os.environ.get(variable) or named.get(label, "") for label, variable in _VARIABLES.items()}


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 — pathlib adds nothing here
    except OSError:
        return ""  # it was deleted


def _recorder(
    export: bool, meter_provider: MeterProvider | None, tracer_provider: TracerProvider | None, home: Home | None
) -> Recorder:
    if not export:
        return NullRecorder()
    if meter_provider is None and tracer_provider is None:
        return SpoolRecorder(home)
    from claude_hooks_otel.sdk.provider_recorder import ProviderRecorder  # noqa: PLC0415 — it imports OpenTelemetry

    return ProviderRecorder(meter_provider, tracer_provider)
