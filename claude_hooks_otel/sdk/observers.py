"""What the decorators observe of each call: a task, the performance, the coverage of tests. Standard library only."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from claude_hooks_otel.metrics.outcomes import TaskOutcome
from claude_hooks_otel.sdk import coverage_result
from claude_hooks_otel.sdk.monitor import AgentMonitor
from claude_hooks_otel.sdk.tracked import Tracked
from claude_hooks_otel.sdk.wrapping import Observer
from claude_hooks_otel.units import SECOND


class QualityError(RuntimeError):
    """The tests cover less than is required, or no result of coverage.py was found."""


class QualityWarning(UserWarning):
    """The same as QualityError, as a warning."""


class TaskObserver(Observer):
    """Records a call as a task."""

    def __init__(self, task: Tracked) -> None:
        self._task = task

    def __enter__(self) -> Self:
        self._task.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.__exit__(kind, error, traceback)

    def begin_generator(self) -> None:
        """Keep what the consumer does between the items out of the task."""
        self._task.without_nesting()


class PerformanceObserver(Observer):
    """Records how long a call took, how many items came in and out, and the throughput and efficiency that follow."""

    def __init__(self, monitor: AgentMonitor, operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._monitor, self._operation = monitor, operation
        collections = (value for value in (*args, *kwargs.values()) if _is_collection(value))
        first = next(collections, None)
        self._items_in = None if first is None else len(first)
        self._items_out: int | None = None

    def __enter__(self) -> Self:
        self._began = time.perf_counter_ns()
        return self

    def take_item(self) -> None:
        """Count an item out."""
        self._items_out = (self._items_out or 0) + 1

    def take_result(self, result: Any) -> None:
        """Count the items of the result."""
        if _is_collection(result):
            self._items_out = len(result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = (time.perf_counter_ns() - self._began) / SECOND
        failed = error is not None and not isinstance(error, GeneratorExit)
        labels = {"operation": self._operation}
        outcome = TaskOutcome.FAILURE if failed else TaskOutcome.SUCCESS
        self._monitor.histogram("operation_duration_seconds", seconds, {**labels, "outcome": outcome})
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


class QualityObserver(Observer):
    """Reads the coverage after a call, records it, and compares it with what is required."""

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
