"""How program records are made and where they go. Standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

MEASUREMENT, TASK, SPAN, ERROR = "sdk.measurement", "sdk.task", "sdk.span", "sdk.error"
# Marks an exception that was counted. On its way out through nested tasks and spans, it is one error.
_COUNTED = "__claude_monitoring_counted__"


class Recorder(Protocol):
    """Where program records go.

    Attributes:
        lost: how many records were lost.
    """

    lost: int

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Take one program record. Never raise."""

    def open(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """Return a context that is held open while a task or span lasts."""


class NullRecorder:
    """Records nothing."""

    lost = 0

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Do nothing."""

    def open(self, name: str) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """Return a context that does nothing."""
        return contextlib.nullcontext()


class RecordWriter:
    """Makes the program records of one monitor, and hands them to its recorder.

    Args:
        recorder: where they go.
        headers: the identity that they count for.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, recorder: Recorder, headers: Mapping[str, str], now_ns: Callable[[], int]) -> None:
        self.recorder = recorder
        self.now_ns = now_ns
        self._headers = headers

    def write(self, event: str, payload: dict[str, Any]) -> None:
        """Write a record. It gets an id and a time, unless the payload has them."""
        payload.setdefault("id", new_id())
        payload.setdefault("at", self.now_ns())
        self.recorder.record(event, self._headers, payload)

    def write_error(self, error: BaseException, labels: Mapping[str, str]) -> None:
        """Write the type of an exception, unless it was written before."""
        if getattr(error, _COUNTED, False):
            return
        with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no mark counts every time
            setattr(error, _COUNTED, True)
        self.write(ERROR, {"type": type(error).__name__, "labels": dict(labels)})


def new_id() -> str:
    """Return 128 random bits from the operating system. They differ in all processes, forked ones included."""
    return os.urandom(16).hex()
