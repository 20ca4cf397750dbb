"""Tasks and spans while they last: their nesting, their clock and their outcome. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Self

from claude_hooks_otel.metrics.outcomes import TaskOutcome
from claude_hooks_otel.sdk.names import MisuseError
from claude_hooks_otel.sdk.records import TASK, RecordWriter, new_id

# How many characters of a task's or span's name are kept.
NAME_LENGTH = 200


class _AnchoredClock:
    """Unix nanoseconds: one reading of the wall clock, and the monotonic time since then.

    Everything that is nested shares the clock of the outermost task or span. With a reading of the wall clock for each, one could end
    after the one that contains it, because time passes between the readings of the two clocks, or because the wall clock is set.
    """

    def __init__(self, now_ns: int) -> None:
        self._offset_ns = now_ns - time.perf_counter_ns()

    def now_ns(self) -> int:
        return self._offset_ns + time.perf_counter_ns()


class _Open(NamedTuple):
    """An open task or span: its id, the id of the outermost one around it, and the clock of all of them."""

    id: str
    root: str
    clock: _AnchoredClock


# The innermost open task or span of this thread or asynchronous task.
_current: ContextVar[_Open | None] = ContextVar("claude_monitoring_current", default=None)


class Tracked:
    """A task or span, to be entered once. ``AgentMonitor.track_task`` and ``AgentMonitor.span`` make it.

    Attributes:
        id: what its program records have in common.
        outcome: how it ended; None until then.
    """

    def __init__(self, writer: RecordWriter, event: str, name: str, details: Mapping[str, Any]) -> None:
        if not isinstance(name, str) or not name.strip():
            raise MisuseError(f"a {event.removeprefix('sdk.')}'s name is expected, not {name!r}")
        self.id = new_id()
        self.outcome: TaskOutcome | None = None
        self._writer = writer
        self._event = event
        self._payload: dict[str, Any] = {"name": name.strip()[:NAME_LENGTH], **details}
        self._nests = True

    def without_nesting(self) -> Self:
        """Contain no other task or span. What a consumer does between a generator's items is not part of the generator."""
        self._nests = False
        return self

    def __enter__(self) -> Self:
        if "started" in self._payload:
            raise MisuseError("a task or span can be entered only once: call track_task or span again")
        self._outer = _current.get()
        if self._outer is None:
            parent, self._open = None, _Open(self.id, self.id, _AnchoredClock(self._writer.now_ns()))
        else:
            parent, self._open = self._outer.id, self._outer._replace(id=self.id)
        started = self._open.clock.now_ns()
        self._payload |= {"id": self.id, "parent": parent, "root": self._open.root, "started": started}
        if self._event == TASK:
            self._writer.write(TASK, dict(self._payload))  # a killed program has still recorded the start
        if self._nests:
            self._live = self._writer.recorder.open(self._payload["name"])
            self._live.__enter__()
            _current.set(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nests:
            _current.set(self._outer)
            self._live.__exit__(kind, error, traceback)
        failed = error is not None and not _is_regular_end(error)
        self.outcome = TaskOutcome.FAILURE if failed else TaskOutcome.SUCCESS
        ended = self._open.clock.now_ns()
        self._writer.write(self._event, {**self._payload, "at": ended, "ended": ended, "outcome": self.outcome})
        if failed and error is not None:
            self._writer.write_error(error, {})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _is_regular_end(error: BaseException) -> bool:
    """Return whether an exception is not a failure: a generator was closed, or the program exits with success."""
    return isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and error.code in (None, 0))
