"""What OpenTelemetry's own code logs while it works for us: caught, because it may repeat a header, and said by us instead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = logging.getLogger("opentelemetry")

_lock = threading.Lock()
_handlers: list[_Handler] = []


class _Handler(logging.Handler):
    """Keeps the records of the thread that made it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.records.append(record)


@contextmanager
def caught_logs() -> Iterator[list[logging.LogRecord]]:
    """Collects this thread's warnings and errors of OpenTelemetry's packages; none of them reaches another handler meanwhile."""
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
