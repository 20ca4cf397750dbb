"""A thread for each custom exporter: it reads on behind its cursor, and moves it when a batch was taken."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from claude_hooks_otel.delivery.measurement_log import MeasurementLog, read_batch
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.custom.registry import OptionRedactor, build
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.program_gauges import sdk_gauges
from claude_hooks_otel.series.totals import SeriesBook, read_points
from claude_hooks_otel.settings.config import ConfigError
from claude_hooks_otel.store.connection import connect, read_meta, write_meta

# Measurements in a batch: each is one commit of its receiver, and a few megabytes here.
BATCH = 20_000
# Seconds between tries while an exporter does not take what it is given: doubled each time.
FIRST_RETRY, LAST_RETRY = 0.5, 60.0
# Seconds between looks at the log when nobody tells of news.
POLL = 5.0
# Seconds between samples of the gauges.
SAMPLE_EVERY = 60.0
# Seconds between trims of the log.
TRIM_EVERY = 60.0
# Seconds that leaving waits for a thread.
FAREWELL = 3.0

_log = logging.getLogger(__name__)


@runtime_checkable
class ReadsSeries(Protocol):
    """An exporter that shows the series as they stand, rather than each measurement."""

    def attach(self, points: Callable[[], Sequence[SeriesPoint]]) -> None:
        """Is told how to read them; may be called from any thread."""


class Runner:
    """One exporter at work.

    Args:
        name: its name in the configuration.
        table: its configuration.
        store: the store's file; the thread opens its own connection.
        points: reads the series as they stand.
    """

    def __init__(
        self, name: str, table: Mapping[str, Any], store: Store, points: Callable[[], Sequence[SeriesPoint]]
    ) -> None:
        self.name = name
        self.exporter: CustomExporter = build(name, table)
        if isinstance(self.exporter, ReadsSeries):
            self.exporter.attach(points)
        self._hide = OptionRedactor(table)
        self._path = store.path
        self._instance = store.meta("instance_id", "")
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"exporter {name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There is news."""
        self._news.set()

    def stop(self) -> None:
        """Asks the thread to take what is there once more, and end."""
        self._stopping.set()
        self._news.set()

    def join(self, timeout: float) -> None:
        """Waits for its end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        with contextlib.closing(connect(self._path)) as connection:
            started = False
            while True:
                last = self._stopping.is_set()
                self._news.clear()
                try:
                    if not started:
                        self.exporter.start()
                        started = True
                    self._drain(connection)
                    self._note(connection, None)
                except Exception as error:
                    self._note(connection, error)
                if last:
                    break
                self._wait()
            if started:
                with contextlib.suppress(Exception):
                    self.exporter.shutdown()

    def _wait(self) -> None:
        if not self._failures:
            self._news.wait(POLL)
            return
        # News is no reason to try a failing one sooner, leaving is.
        self._stopping.wait(min(LAST_RETRY, FIRST_RETRY * 2 ** (self._failures - 1)))

    def _drain(self, connection: sqlite3.Connection) -> None:
        while True:
            row = connection.execute("SELECT seq FROM exporter_cursor WHERE exporter = ?", (self.name,)).fetchone()
            if row is None:
                return  # another configuration's daemon has taken over
            batch, end = read_batch(connection, row[0], BATCH, self._instance)
            if end == row[0]:
                return
            if batch:
                self.exporter.export_batch(batch)
            connection.execute(
                "UPDATE exporter_cursor SET seq = ? WHERE exporter = ? AND seq < ?", (end, self.name, end)
            )
            self._failures = 0
            write_meta(connection, f"custom.{self.name}.ok_ns", str(time.time_ns()))

    def _note(self, connection: sqlite3.Connection, error: Exception | None) -> None:
        """Leaves in the store what ``status`` shows; says it in the log when it changes."""
        text = "" if error is None else self._hide(f"{type(error).__name__}: {error}")
        if error is None and self._failures:
            _log.info("exporter %s takes measurements again", self.name)
        if error is not None and not self._failures:
            _log.warning("exporter %s did not take what it was given: %s", self.name, text)
        self._failures = 0 if error is None else self._failures + 1
        with contextlib.suppress(sqlite3.Error):
            if read_meta(connection, f"custom.{self.name}.error") != text:
                write_meta(connection, f"custom.{self.name}.error", text)


class CustomExporters:
    """All custom exporters of one daemon, and the log they read.

    Args:
        store: the daemon's store.
        book: its series.
        tables: ``[exporters]`` of the configuration.
    """

    def __init__(self, store: Store, book: SeriesBook, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self._store = store
        self._runners: list[Runner] = []
        self._sampled: list[SeriesPoint] = []
        self._sampled_at = self._trimmed_at = float("-inf")
        self._seen_changes = -1
        self._book = book
        errors: dict[str, str] = {}
        for name, table in tables.items():
            try:
                self._runners.append(Runner(name, table, store, self._points))
            except ConfigError as error:
                _log.error("%s", error)
                errors[name] = str(error)
        self._log = MeasurementLog(store, [runner.name for runner in self._runners])
        with store.transaction():
            self._log.open()
            store.set_meta("custom_exporters", json.dumps(list(tables)))
            for name, text in errors.items():
                store.set_meta(f"custom.{name}.error", text)
            if not self._runners:
                store.connection.execute("DELETE FROM measurement_log")
        if self._runners:
            book.on_flush = self._log.append
        for runner in self._runners:
            runner.start()

    def __bool__(self) -> bool:
        return bool(self._runners)

    @property
    def sample_is_due(self) -> bool:
        """Whether the gauges should be handed over."""
        return bool(self._runners) and time.monotonic() - self._sampled_at >= SAMPLE_EVERY

    def sample(self, points: Sequence[SeriesPoint], now_ns: int) -> None:
        """Writes the gauges as they stand into the log."""
        self._sampled_at = time.monotonic()
        self._sampled = list(points)
        with self._store.transaction():
            self._log.append_gauges(points, now_ns)
        self._wake()

    def work(self) -> None:
        """Tells the threads of news, and trims the log."""
        if not self._runners:
            return
        if self._book.changes != self._seen_changes:
            self._seen_changes = self._book.changes
            self._wake()
        if time.monotonic() - self._trimmed_at >= TRIM_EVERY:
            self._trimmed_at = time.monotonic()
            with self._store.transaction():
                self._log.trim()

    def _wake(self) -> None:
        for runner in self._runners:
            runner.wake()

    def _points(self) -> list[SeriesPoint]:
        with contextlib.closing(connect(self._store.path, readonly=True)) as connection:
            return [
                *read_points(connection, CATALOG),
                *self._sampled,
                *sdk_gauges(connection, self._sampled),
            ]

    def close(self) -> None:
        """Lets every exporter take what is there, briefly."""
        for runner in self._runners:
            runner.stop()
        deadline = time.monotonic() + FAREWELL
        for runner in self._runners:
            runner.join(max(0.0, deadline - time.monotonic()))
