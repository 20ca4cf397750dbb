"""``AgentMonitor``: what a program beside Claude Code calls to be measured like a session. Standard library only."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.sdk.names import MisuseError, Vocabulary, bounded, number
from claude_hooks_otel.sdk.spool_recorder import NullRecorder, SpoolRecorder

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from claude_hooks_otel.home.paths import Home

MEASUREMENT, TASK, SPAN, ERROR = "sdk.measurement", "sdk.task", "sdk.span", "sdk.error"
# Characters of a task's or span's name that are kept.
NAME_LENGTH = 200
# Story points beyond this are a typing error, as in a session's tasks.
MOST_POINTS = 1000
# Set on an exception that was counted: on its way out through nested tasks and spans it is one error.
_COUNTED = "__claude_monitoring_counted__"


class _AnchoredClock:
    """The time since a reading of the wall clock, by the monotonic clock: Unix nanoseconds.

    All that is nested goes by the clock of the outermost one. With a reading of the wall clock for each, a pause between the
    two clocks' readings, or a wall clock that is set meanwhile, would let something end after what holds it.
    """

    def __init__(self, now_ns: int) -> None:
        self._offset_ns = now_ns - time.perf_counter_ns()

    def now_ns(self) -> int:
        return self._offset_ns + time.perf_counter_ns()


class _Open(NamedTuple):
    """A task or span that is open: its id, that of the outermost one around it, and the clock of them all."""

    id: str
    root: str
    clock: _AnchoredClock


# The innermost open task or span of this thread or asynchronous task.
_current: ContextVar[_Open | None] = ContextVar("claude_monitoring_current", default=None)


class Recorder(Protocol):
    """Where records go."""

    lost: int

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Takes one record; never raises."""

    def open(self, name: str) -> Any:
        """A context manager to hold open while a span lasts, or None."""


class AgentMonitor:
    """Records metrics, tasks, spans and errors of one agent.

    Records are files in the spool: they are safe once a call returns, whether or not a daemon runs, and whatever becomes of this
    program. There is nothing to close; ``with AgentMonitor(...) as monitor`` works as well. Safe for threads, asyncio and fork.

    Args:
        agent_id: the agent; by default ``CLAUDE_AGENT_ID``, else the configuration's.
        project_name: the project; by default ``CLAUDE_AGENT_PROJECT``, else that of the working directory.
        agent_level: the agent's level in the owner's own scheme, recorded once as the gauge ``agent_declared_level``.
        sprint: the sprint; by default ``CLAUDE_AGENT_SPRINT``.
        team: the team; by default ``CLAUDE_AGENT_TEAM``.
        export_to_grafana: False checks every call but records nothing.
        labels: label keys that calls may use beside the catalog's.
        meter_provider: record into this OpenTelemetry provider instead of the spool.
        tracer_provider: open spans with this OpenTelemetry provider, likewise; the host's global one stands in for either.
        home: whose spool, by default that of the environment.
        now_ns: the clock, Unix nanoseconds.

    Raises:
        MisuseError: a name that is unbounded (a path, an identifier), or a level that is no whole number.

    >>> monitor = AgentMonitor(agent_id="Backend", project_name="book-cataloger", sprint="6B")
    >>> monitor.agent, monitor.project, monitor.sprint
    ('backend', 'book-cataloger', '6b')
    >>> monitor.increment("features_completed")
    >>> monitor.record_metric("api_calls", -1)
    Traceback (most recent call last):
    ...
    claude_hooks_otel.sdk.names.MisuseError: claude.api_calls is a counter: it only grows, -1 can not be added; use a gauge
    """

    def __init__(
        self,
        agent_id: str | None = None,
        project_name: str | None = None,
        *,
        agent_level: int | None = None,
        sprint: str | int | None = None,
        team: str | None = None,
        export_to_grafana: bool = True,
        labels: Iterable[str] = (),
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        home: Home | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.now_ns = now_ns
        self._vocabulary = Vocabulary(labels)
        self.agent = _identity("agent_id", agent_id, "CLAUDE_AGENT_ID")
        self.project = _identity("project_name", project_name, "CLAUDE_AGENT_PROJECT")
        self.team = _identity("team", team, "CLAUDE_AGENT_TEAM")
        self.sprint = _identity("sprint", sprint, "CLAUDE_AGENT_SPRINT")
        self._headers = {"agent": self.agent, "project": self.project, "team": self.team, "sprint": self.sprint}
        if not self.project:
            self._headers["project_directory"] = _working_directory()
        self._recorder = _recorder(export_to_grafana, meter_provider, tracer_provider, home)
        if agent_level is not None:
            if isinstance(agent_level, bool) or not isinstance(agent_level, int) or agent_level < 0:
                raise MisuseError(f"agent_level: a whole number from 0 is expected, not {agent_level!r}")
            self.gauge("agent_declared_level", agent_level)

    @property
    def lost(self) -> int:
        """How many records could not be written (a full disk, no right to write)."""
        return self._recorder.lost

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return  # nothing waits in memory

    def register_label(self, key: str) -> None:
        """Lets further calls use a label key of your own. Keep its values few: each combination is a series.

        Raises:
            MisuseError: it is no label key.

        >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
        >>> monitor.record_metric("api_calls", 1, labels={"customer": "acme"})
        Traceback (most recent call last):
        ...
        claude_hooks_otel.sdk.names.MisuseError: unknown label 'customer'; known for this metric: ...
        >>> monitor.register_label("customer")
        >>> monitor.record_metric("api_calls", 1, labels={"customer": "acme"})
        """
        self._vocabulary.register_label(key)

    # -- measurements ------------------------------------------------------------------------------------------------------

    def record_metric(
        self, name: str, value: float = 1, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Records a value of a metric: one of the catalog as its kind says, any other name as a counter.

        Args:
            name: ``api_calls`` becomes ``claude_api_calls_total`` in Prometheus; a catalog name may be given with or without
                ``claude_`` and ``_total``.
            value: how much, in the metric's unit.
            labels: further labels; ``agent``, ``project``, ``team`` and ``sprint`` replace the monitor's own.
            unit: ``s``, ``%``, ``By`` or a word.

        Raises:
            MisuseError: no metric name, a value that the metric can not take, an unknown label or an unbounded label value.
        """
        self._measure(self._vocabulary.metric(name, None, unit), value, labels)

    def increment(
        self, name: str, value: float = 1, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Moves a counter up by ``value``. Raises: as ``record_metric``, and MisuseError for a metric that is no counter."""
        self._measure(self._vocabulary.metric(name, Kind.COUNTER, unit), value, labels)

    def gauge(
        self, name: str, value: float, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Sets a gauge; the newest value of its labels stands. Raises: as ``record_metric``."""
        self._measure(self._vocabulary.metric(name, Kind.GAUGE, unit), value, labels)

    def histogram(
        self, name: str, value: float, labels: Mapping[str, str] | None = None, *, unit: str | None = None
    ) -> None:
        """Adds one observation to a histogram (durations in seconds). Raises: as ``record_metric``."""
        self._measure(self._vocabulary.metric(name, Kind.HISTOGRAM, unit), value, labels)

    def record_cost(self, dollars: float, *, model: str = "unknown", agent_type: str = "sdk") -> None:
        """Adds to ``claude_api_cost_usd_total``, US dollars. Raises: as ``record_metric``."""
        self.increment("api_cost_usd", dollars, {"model": model, "agent_type": agent_type})

    def _measure(self, metric: Metric, value: float, labels: Mapping[str, str] | None) -> None:
        checked = number(value, metric)
        found = self._vocabulary.labels(metric, labels)
        self.emit(
            MEASUREMENT,
            {"metric": metric.name, "kind": str(metric.kind), "unit": metric.unit, "value": checked, "labels": found},
        )

    def record_error(self, error: BaseException, *, labels: Mapping[str, str] | None = None) -> None:
        """Counts an exception under its type (``claude_errors_total``); its message is not recorded, as it may hold anything.

        An exception that was counted before, by a task or span it left or by this method, is not counted again.

        Raises:
            MisuseError: not an exception, or labels that can not be used.
        """
        if not isinstance(error, BaseException):
            raise MisuseError(f"record_error: an exception is expected, not {type(error).__name__}")
        metric = self._vocabulary.metric("errors", Kind.COUNTER)
        found = self._vocabulary.labels(metric, labels)
        if getattr(error, _COUNTED, False):
            return
        with contextlib.suppress(AttributeError, TypeError):  # one with slots counts as often as it is told of
            setattr(error, _COUNTED, True)
        self.emit(ERROR, {"type": type(error).__name__, "labels": found})

    # -- tasks and spans ---------------------------------------------------------------------------------------------------

    def track_task(self, name: str, *, complexity: int | None = None, task_type: str | None = None) -> Tracked:
        """A context (``with`` or ``async with``) in which a task is done: its duration, outcome and points are recorded.

        Left by an exception, the task has failed: that is recorded, and the exception goes on.

        Args:
            name: what the task is called; kept in the store, never a label.
            complexity: story points, 1 to 1000; they count when the task succeeds.
            task_type: ``feature``, ``bug``, …; a succeeded ``feature`` counts as a feature delivered.

        Raises:
            MisuseError: no name, or a complexity that is no whole number from 1 to 1000.
        """
        if complexity is not None and (
            isinstance(complexity, bool) or not isinstance(complexity, int) or not 1 <= complexity <= MOST_POINTS
        ):
            raise MisuseError(f"complexity: a whole number from 1 to {MOST_POINTS} is expected, not {complexity!r}")
        kind = None if task_type is None else bounded(task_type, "task_type")
        return Tracked(self, TASK, name, {"complexity": complexity, "task_type": kind or "task"})

    def span(self, name: str) -> Tracked:
        """A context (``with`` or ``async with``) whose duration and outcome are recorded; spans nest.

        Raises:
            MisuseError: no name, or one that could not be a label (``claude_span_duration_seconds`` has it as ``span``).
        """
        return Tracked(self, SPAN, name, {"label": bounded(name, "span name")})

    def open(self, name: str) -> Any:
        """What to hold open while a span lasts; for ``Tracked``."""
        return self._recorder.open(name)

    def emit(self, event: str, payload: dict[str, Any]) -> None:
        """Hands a record to the recorder under an id and a time of its own; for the SDK's own parts."""
        payload.setdefault("id", new_id())
        payload.setdefault("at", self.now_ns())
        self._recorder.record(event, self._headers, payload)


class Tracked:
    """A task or span while it lasts; made by ``AgentMonitor.track_task`` and ``AgentMonitor.span``, for one use.

    Attributes:
        id: what its records have in common.
        outcome: ``success`` or ``failure`` once it is over.
    """

    def __init__(
        self, monitor: AgentMonitor, event: str, name: str, details: Mapping[str, Any], *, nests: bool = True
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise MisuseError(f"a {event.removeprefix('sdk.')}'s name is expected, not {name!r}")
        self.id = new_id()
        self.outcome: str | None = None
        self._monitor = monitor
        self._event = event
        self._payload: dict[str, Any] = {"name": name.strip()[:NAME_LENGTH], **details}
        self._nests = nests
        self._live: Any = None

    def without_nesting(self) -> Self:
        """Of a generator: what runs between its items is not inside it."""
        self._nests = False
        return self

    def __enter__(self) -> Self:
        if "started" in self._payload:
            raise MisuseError("a task or span can be entered once: call track_task or span again for another")
        self._outer = _current.get()
        if self._outer is None:
            parent, self._open = None, _Open(self.id, self.id, _AnchoredClock(self._monitor.now_ns()))
        else:
            parent, self._open = self._outer.id, self._outer._replace(id=self.id)
        started = self._open.clock.now_ns()
        self._payload |= {"id": self.id, "parent": parent, "root": self._open.root, "started": started}
        if self._event == TASK:
            self._monitor.emit(TASK, dict(self._payload))  # so that a task whose program is killed was begun at least
        if self._nests:
            self._live = self._monitor.open(self._payload["name"])
            if self._live is not None:
                self._live.__enter__()
            _current.set(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nests:
            _current.set(self._outer)
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)
        failed = error is not None and not _is_regular_end(error)
        self.outcome = "failure" if failed else "success"
        ended = self._open.clock.now_ns()
        self._monitor.emit(self._event, {**self._payload, "at": ended, "ended": ended, "outcome": self.outcome})
        if failed and error is not None:
            self._monitor.record_error(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def new_id() -> str:
    """128 random bits, from the operating system: equal in no two processes, forked ones included."""
    return os.urandom(16).hex()


def _is_regular_end(error: BaseException) -> bool:
    """A generator that is no longer wanted, or a program that ends with success."""
    return isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and error.code in (None, 0))


def _identity(what: str, value: object, variable: str) -> str:
    """A label of the monitor's own: checked where the caller gave it, as it is where the environment does (as in hooks)."""
    return bounded(value, what) if value is not None else os.environ.get(variable, "")


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 — pathlib has no part in it
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
