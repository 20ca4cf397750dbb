"""The decorators ``track_task``, ``track_performance`` and ``track_quality``. Standard library only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, overload

from claude_hooks_otel.sdk.monitor import AgentMonitor
from claude_hooks_otel.sdk.names import MisuseError, bounded
from claude_hooks_otel.sdk.observers import PerformanceObserver, QualityObserver, TaskObserver
from claude_hooks_otel.sdk.wrapping import F, wrap


@functools.cache
def _default_monitor() -> AgentMonitor:
    return AgentMonitor()


@overload
def track_task(function: F) -> F: ...
@overload
def track_task(
    function: None = None,
    *,
    monitor: AgentMonitor | None = None,
    name: str | None = None,
    task_type: str | None = None,
    complexity: int | None = None,
) -> Callable[[F], F]: ...
def track_task(
    function: F | None = None,
    *,
    monitor: AgentMonitor | None = None,
    name: str | None = None,
    task_type: str | None = None,
    complexity: int | None = None,
) -> F | Callable[[F], F]:
    """Record each call of a function as a task, with its duration, outcome and points. Exceptions propagate.

    Args:
        function: the function, if the decorator is used without parentheses.
        monitor: the monitor that records. The default is one with the environment's agent.
        name: the name of the task. The default is the function's name.
        task_type: as for ``AgentMonitor.track_task``.
        complexity: story points, as for ``AgentMonitor.track_task``.

    Raises:
        MisuseError: an argument is invalid. It is raised when the function is decorated.

    >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
    >>> @track_task(monitor=monitor, task_type="feature", complexity=5)
    ... def add_api_feature():
    ...     return "done"
    >>> add_api_feature()
    'done'
    """

    def decorate(inner: F) -> F:
        recorder, title = monitor or _default_monitor(), name or inner.__name__

        def observe(_: tuple[Any, ...], __: dict[str, Any]) -> TaskObserver:
            return TaskObserver(recorder.track_task(title, complexity=complexity, task_type=task_type))

        observe((), {})  # misuse shows now, not at the first call
        return wrap(inner, observe)

    return decorate if function is None else decorate(function)


@overload
def track_performance(function: F) -> F: ...
@overload
def track_performance(
    function: None = None,
    *,
    monitor: AgentMonitor | None = None,
    operation: str | None = None,
) -> Callable[[F], F]: ...
def track_performance(
    function: F | None = None,
    *,
    monitor: AgentMonitor | None = None,
    operation: str | None = None,
) -> F | Callable[[F], F]:
    """Record how long each call took, the items in and out, items per second, and efficiency.

    Items in are the length of the first argument that is a collection. Items out are the length of the result, if that is a
    collection, or the number of items that a generator yields. Throughput is items in per second, or items out if there are no items
    in. Efficiency is items out per item in. Nothing is guessed for values without a length.

    Args:
        function: the function, if the decorator is used without parentheses.
        monitor: the monitor that records. The default is one with the environment's agent.
        operation: the label ``operation``. The default is the function's name.

    Raises:
        MisuseError: the operation cannot be a label value. It is raised when the function is decorated.

    >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
    >>> @track_performance(monitor=monitor)
    ... def process_items(items):
    ...     return [item for item in items if item]
    >>> process_items([1, 0, 2])
    [1, 2]
    """

    def decorate(inner: F) -> F:
        recorder, label = monitor or _default_monitor(), bounded(operation or inner.__name__, "operation")
        return wrap(inner, lambda args, kwargs: PerformanceObserver(recorder, label, args, kwargs))

    return decorate if function is None else decorate(function)


@overload
def track_quality(function: F) -> F: ...
@overload
def track_quality(
    function: None = None,
    *,
    monitor: AgentMonitor | None = None,
    test_coverage_required: float = 0.0,
    below: Literal["warning", "error"] = "warning",
    report: str | Path | None = None,
) -> Callable[[F], F]: ...
def track_quality(
    function: F | None = None,
    *,
    monitor: AgentMonitor | None = None,
    test_coverage_required: float = 0.0,
    below: Literal["warning", "error"] = "warning",
    report: str | Path | None = None,
) -> F | Callable[[F], F]:
    """Read coverage.py's result after each call, record it, and report a coverage below the required one.

    The result comes from ``report``, or else from a data file that the call wrote, or else from the coverage.py that measures this
    program. It is recorded as the gauge ``claude_test_coverage_percent``. Each check counts in ``claude_quality_checks_total``, by
    ``outcome``.

    Args:
        function: the function, if the decorator is used without parentheses.
        monitor: the monitor that records. The default is one with the environment's agent.
        test_coverage_required: the lowest coverage to accept, from 0 to 1.
        below: what to do if the coverage is lower or there is no result: ``warning`` (QualityWarning) or ``error`` (QualityError).
        report: a data file of coverage.py, or a JSON or XML report.

    Raises:
        MisuseError: an argument is invalid. It is raised when the function is decorated.
    """
    required = test_coverage_required
    if isinstance(required, bool) or not isinstance(required, int | float) or not 0 <= required <= 1:
        raise MisuseError(f"test_coverage_required: a share from 0 to 1 is expected, not {required!r}")
    if below not in ("warning", "error"):
        raise MisuseError(f"below: 'warning' or 'error' is expected, not {below!r}")

    def decorate(inner: F) -> F:
        recorder, path = monitor or _default_monitor(), None if report is None else Path(report)
        return wrap(inner, lambda _, __: QualityObserver(recorder, required, below, path))

    return decorate if function is None else decorate(function)
