"""What OpenTelemetry's code logs while it works for us. It is caught, because it may repeat a header; our own messages do not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = logging.getLogger("opentelemetry")

_lock = threading.Lock()
_handlers: list[_Handler] = []


class _Handler(logging.Handler):
    """Keeps the log records of the thread that made it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.records.append(record)


@contextmanager
def caught_logs() -> Iterator[list[logging.LogRecord]]:
    """Collect this thread's warnings and errors of OpenTelemetry's packages. Meanwhile none of them reaches another handler."""
    handler = _Handler()
    with _lock:
        _handlers.append(handler)
        _LOGGER.addHandler(handler)
        _LOGGER.propagate = False
    try:
        yield handler.records
    finally:
        with _lock:
            _handlers.remove(handler)
            _LOGGER.removeHandler(handler)
            _LOGGER.propagate = not _handlers
