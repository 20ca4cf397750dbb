"""Delivery of measurements to custom exporters. An exporter's cursor moves after the exporter has accepted a batch."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from claude_hooks_otel.delivery.exporter_state import MEASUREMENTS
from claude_hooks_otel.delivery.measurement_log import read_batch
from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.custom.registry import OptionRedactor
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.store.connection import transaction

# Measurements in a batch. A batch is one commit of the receiver, and takes a few megabytes of memory.
BATCH = 20_000


@runtime_checkable
class ReadsSeries(Protocol):
    """An exporter that shows the current series, rather than each measurement."""

    def attach(self, points: Callable[[], Sequence[SeriesPoint]]) -> None:
        """Take a function that returns the series. It may be called from any thread."""


class MeasurementWorker(Worker):
    """Hands the measurements to one custom exporter.

    Args:
        name: its name in the configuration.
        exporter: the exporter.
        options: its configuration; secrets in it are masked in messages.
        path: the store's file.
        instance: the store's id, a part of each measurement's key.
    """

    def __init__(
        self, name: str, exporter: CustomExporter, options: Mapping[str, Any], path: Path, instance: str
    ) -> None:
        super().__init__(MEASUREMENTS, name, path)
        self._exporter = exporter
        self._hide = OptionRedactor(options)
        self._instance = instance
        self._is_open = False

    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Hand over everything behind the cursor. Return None, or the reason why something still waits."""
        try:
            if not self._is_open:
                self._exporter.start()
                self._is_open = True
            while self._deliver_batch(connection) and not self._stopping:
                pass
        except sqlite3.Error:
            raise  # the store failed, not the exporter
        except BaseException as error:  # foreign code may raise even SystemExit
            failure = self._hide(f"{type(error).__name__}: {error}")
            self.note_error(connection, failure)
            return failure
        self.note_error(connection, None)
        return None

    def _deliver_batch(self, connection: sqlite3.Connection) -> bool:
        """Hand over one batch. Return whether there was one."""
        row = connection.execute("SELECT seq FROM exporter_cursor WHERE exporter = ?", (self.exporter_name,)).fetchone()
        if row is None:
            return False  # the daemon of another configuration has taken over
        batch, end = read_batch(connection, row[0], BATCH, self._instance)
        if end == row[0]:
            return False
        if batch:
            self._exporter.export_batch(batch)
            self.delivered += len(batch)
        with transaction(connection):
            connection.execute(
                "UPDATE exporter_cursor SET seq = ? WHERE exporter = ? AND seq < ?", (end, self.exporter_name, end)
            )
            self.note_accepted(connection)
        self.note_committed()
        return True

    def shut_down(self) -> None:
        """Close the exporter."""
        if self._is_open:
            with contextlib.suppress(BaseException):
                self._exporter.shutdown()
