"""Decorators for functions of every kind: plain, asynchronous, generators, asynchronous generators. Standard library only."""

from __future__ import annotations

import functools
import inspect
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload

from claude_hooks_otel.sdk import coverage_result
from claude_hooks_otel.sdk.monitor import AgentMonitor, Tracked
from claude_hooks_otel.sdk.names import MisuseError, bounded
from claude_hooks_otel.units import SECOND

F = TypeVar("F", bound=Callable[..., Any])


class QualityError(RuntimeError):
    """The coverage of a run was below what was required of it, or there was no result to read."""


class QualityWarning(UserWarning):
    """As QualityError, where a warning was chosen."""


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
    """Records each call of a function as a task: duration, success or failure, points; exceptions go on.

    Args:
        function: given when used without parentheses.
        monitor: whose task it is; by default that of the environment's agent.
        name: by default the function's.
        task_type: as for ``AgentMonitor.track_task``.
        complexity: story points, likewise.

    Raises:
        MisuseError: when decorating, if a value is not what it has to be.

    >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
    >>> @track_task(monitor=monitor, task_type="feature", complexity=5)
    ... def add_api_feature():
    ...     return "done"
    >>> add_api_feature()
    'done'
    """

    def decorate(inner: F) -> F:
        whose, title = monitor or _default_monitor(), name or inner.__name__

        def task(_: tuple[Any, ...], __: dict[str, Any]) -> Tracked:
            return whose.track_task(title, complexity=complexity, task_type=task_type)

        task((), {})  # misuse shows here, not at the first call
        return _wrapped(inner, task)

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
    """Records of each call: how long it took, items in and out, items per second, and efficiency.

    Items in are the length of the first argument that is a collection; items out the length of the result if it is one, or the
    number of items that a generator gave. Throughput is items in (out, where nothing came in) per second; efficiency is items out
    per item in. What has no length is not guessed.

    Args:
        function: given when used without parentheses.
        monitor: whose work it is; by default that of the environment's agent.
        operation: the label ``operation``; by default the function's name.

    >>> monitor = AgentMonitor(agent_id="backend", project_name="shop")
    >>> @track_performance(monitor=monitor)
    ... def process_items(items):
    ...     return [item for item in items if item]
    >>> process_items([1, 0, 2])
    [1, 2]
    """

    def decorate(inner: F) -> F:
        whose, label = monitor or _default_monitor(), bounded(operation or inner.__name__, "operation")
        return _wrapped(inner, lambda args, kwargs: _Performance(whose, label, args, kwargs))

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
    """Reads coverage.py's result after each call, records it, and tells where it is below what is required.

    The result is that of ``report`` (a data file, or a JSON or XML report), else of a data file that the call wrote, else of the
    coverage.py that measures this very program. The gauge is ``claude_test_coverage_percent``; each check counts in
    ``claude_quality_checks_total`` by ``outcome``.

    Args:
        function: given when used without parentheses.
        monitor: whose work it is; by default that of the environment's agent.
        test_coverage_required: the least coverage, 0 to 1.
        below: ``warning`` (QualityWarning) or ``error`` (QualityError) when there is less, or no result.
        report: where the result is, if not where coverage.py keeps it by itself.

    Raises:
        MisuseError: when decorating, if a value is not what it has to be.
    """
    if (
        isinstance(test_coverage_required, bool)
        or not isinstance(test_coverage_required, int | float)
        or not 0 <= test_coverage_required <= 1
    ):
        raise MisuseError(f"test_coverage_required: a share from 0 to 1 is expected, not {test_coverage_required!r}")
    if below not in ("warning", "error"):
        raise MisuseError(f"below: 'warning' or 'error' is expected, not {below!r}")

    def decorate(inner: F) -> F:
        whose = monitor or _default_monitor()
        path = None if report is None else Path(report)
        return _wrapped(inner, lambda _, __: _Quality(whose, test_coverage_required, below, path))

    return decorate if function is None else decorate(function)


class _Performance:
    """One call whose performance is recorded."""

    def __init__(self, monitor: AgentMonitor, operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._monitor, self._operation = monitor, operation
        sized = (value for value in (*args, *kwargs.values()) if _is_collection(value))
        first = next(sized, None)
        self._items_in = None if first is None else len(first)
        self._items_out: int | None = None

    def __enter__(self) -> Self:
        self._begun = time.perf_counter_ns()
        return self

    def returned(self, result: Any) -> None:
        if self._items_out is None and _is_collection(result):
            self._items_out = len(result)

    def gave(self) -> None:
        self._items_out = (self._items_out or 0) + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = (time.perf_counter_ns() - self._begun) / SECOND
        failed = error is not None and not isinstance(error, GeneratorExit)
        labels = {"operation": self._operation}
        outcome = {**labels, "outcome": "failure" if failed else "success"}
        self._monitor.histogram("operation_duration_seconds", seconds, outcome)
        if self._items_in is not None:
            self._monitor.increment("operation_items_in", self._items_in, labels)
        if self._items_out is not None:
            self._monitor.increment("operation_items_out", self._items_out, labels)
        if failed and error is not None:
            self._monitor.record_error(error)
            return
        items = self._items_in if self._items_in is not None else self._items_out
        if items is not None and seconds > 0:
            self._monitor.gauge("operation_throughput", items / seconds, labels)
        if self._items_in and self._items_out is not None:
            self._monitor.gauge("operation_efficiency", self._items_out / self._items_in, labels)


class _Quality:
    """One call after which the coverage is looked at."""

    def __init__(self, monitor: AgentMonitor, required: float, below: str, report: Path | None) -> None:
        self._monitor, self._required, self._below, self._report = monitor, required, below, report

    def __enter__(self) -> Self:
        self._since = time.time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        share = coverage_result.read(self._report, self._since)
        if share is not None:
            self._monitor.gauge("test_coverage_percent", share * 100)
        reached = share is not None and share >= self._required
        outcome = "unknown" if share is None else "passed" if reached else "failed"
        self._monitor.increment("quality_checks", 1, {"outcome": outcome})
        if error is not None:
            self._monitor.record_error(error)
            return
        if reached:
            return
        found = "no result of coverage.py was found" if share is None else f"the tests cover {share:.1%}"
        message = f"{found}; {self._required:.1%} is required"
        if self._below == "error":
            raise QualityError(message)
        warnings.warn(message, QualityWarning, stacklevel=3)


def _is_collection(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray)


def _nothing(*_: object) -> None:
    return


def _wrapped(function: F, observe: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> F:
    """The function inside what ``observe`` makes for each call, as the kind of function it is."""
    wrapper: Any
    if inspect.isasyncgenfunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with _outside(observe(args, kwargs)) as observer:
                inner = function(*args, **kwargs)
                items = _async_items(inner, getattr(observer, "gave", _nothing))
                try:
                    value = await anext(items)
                    while True:
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            value = await items.athrow(error)
                        else:
                            value = await items.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await items.aclose()

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with _outside(observe(args, kwargs)) as observer:
                return (yield from _items(function(*args, **kwargs), getattr(observer, "gave", _nothing)))

    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with observe(args, kwargs) as observer:
                result = await function(*args, **kwargs)
                getattr(observer, "returned", _nothing)(result)
                return result

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with observe(args, kwargs) as observer:
                result = function(*args, **kwargs)
                getattr(observer, "returned", _nothing)(result)
                return result

    return cast("F", functools.wraps(function)(wrapper))


def _outside(observer: Any) -> Any:
    return observer.without_nesting() if isinstance(observer, Tracked) else observer


def _items(inner: Generator[Any, Any, Any], gave: Callable[[], None]) -> Generator[Any, Any, Any]:
    """The generator itself, sends and throws included, and a word at each item."""
    try:
        value = next(inner)
        while True:
            gave()
            try:
                sent = yield value
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                value = inner.throw(error)
            else:
                value = inner.send(sent)
    except StopIteration as end:
        return end.value


async def _async_items(inner: AsyncGenerator[Any, Any], gave: Callable[[], None]) -> AsyncGenerator[Any, Any]:
    """As ``_items``."""
    try:
        value = await anext(inner)
        while True:
            gave()
            try:
                sent = yield value
            except GeneratorExit:
                raise
            except BaseException as error:
                value = await inner.athrow(error)
            else:
                value = await inner.asend(sent)
    except StopAsyncIteration:
        return
    finally:
        await inner.aclose()
