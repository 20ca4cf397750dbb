"""The base class of workers. A worker delivers to one exporter, in a thread of its own.

So a slow endpoint never delays the sources or another exporter.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from claude_hooks_otel.delivery import exporter_state
from claude_hooks_otel.delivery.acceptance import note_outside, note_totals_accepted
from claude_hooks_otel.delivery.exporter_state import MEASUREMENTS
from claude_hooks_otel.export.outcome import Outcome
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.timeline import FIRST_RETRY, LONGEST_ASKED_PAUSE, LONGEST_RETRY

# The signals that carry totals.
_TOTALS = ("metrics", MEASUREMENTS)

_log = logging.getLogger(__name__)


class Worker(threading.Thread, ABC):
    """Delivers what waits, then waits for more. After a failure it pauses, longer each time, up to a minute.

    An endpoint can ask for a longer pause.

    Args:
        signal: what it delivers.
        name: the exporter's name in the configuration.
        path: the store's file. The thread opens a connection of its own.

    Attributes:
        failures: how many tries have failed since the start.
        delivered: how many series, items or measurements the endpoint has accepted since the start.
        dropped: how many items have been given up since the start.
        not_sent: why the endpoint gets nothing of this signal; None if it does. Only a signal that no variable names can be left out.
    """

    def __init__(self, signal: str, name: str, path: Path) -> None:
        super().__init__(name=f"{name}-{signal}", daemon=True)
        self.signal = str(signal)
        self.exporter_name = name
        self.failures = 0
        self.delivered = 0
        self.dropped = 0
        self.not_sent: str | None = None
        self._path = path
        self._condition = threading.Condition()
        self._news = True
        self._stopping = False
        self._asked = self._answered = 0
        self._failure: str | None = None
        self._pause = self._asked_pause = 0.0
        self._accepted_ns = 0

    @property
    def title(self) -> str:
        """Its name for people, for example ``otlp traces``."""
        return f"{self.exporter_name} {self.signal}"

    # -- for the loop ----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tell the thread that something new waits. A pause after a failure does not end earlier because of it."""
        with self._condition:
            self._news = True
            self._condition.notify_all()

    def ask(self) -> int:
        """Ask the thread to deliver now, even if it pauses. Return a number for ``answer``."""
        with self._condition:
            self._asked += 1
            self._condition.notify_all()
            return self._asked

    def answer(self, number: int, timeout: float) -> str | None:
        """Wait until everything is delivered that waited when ``ask`` was called. Return None, or the reason for a failure.

        Args:
            number: what ``ask`` returned.
            timeout: how long to wait, in seconds.
        """
        with self._condition:
            if self._condition.wait_for(lambda: self._is_off or self._answered >= number, timeout):
                return self._failure
            return self._failure or f"no answer within {timeout:.2g} s"

    def stop(self) -> None:
        """End the thread, and a delivery under way."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self.interrupt()

    # -- the thread ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until stopped."""
        with contextlib.ExitStack() as stack:
            connection: sqlite3.Connection | None = None
            while not (self._stopping or self._is_off):
                with self._condition:
                    self._news = False
                    asked = self._asked
                try:
                    connection = connection or stack.enter_context(contextlib.closing(connect(self._path)))
                except (sqlite3.Error, OSError) as error:
                    self._rest(f"the store cannot be opened for now: {error}", asked)
                else:
                    self._rest(self._try(connection), asked)
        self.shut_down()

    def _try(self, connection: sqlite3.Connection) -> str | None:
        self._asked_pause = 0.0
        try:
            return self.deliver(connection)
        except sqlite3.Error as error:
            return f"the store cannot be used for now: {error}"
        except BaseException as error:  # no thread may end silently, even if foreign code raises SystemExit
            _log.exception("%s could not be delivered", self.title)
            return f"{type(error).__name__}: {error}"

    def _rest(self, failure: str | None, asked: int) -> None:
        """Answer whoever asked, then wait for something new or for the next try."""
        with self._condition:
            self._failure, self._answered = failure, asked
            self._condition.notify_all()
            if failure is None:
                self._pause = 0.0
                self._condition.wait_for(lambda: self._stopping or self._is_off or self._news or self._asked > asked)
            else:
                self.failures += 1
                self._pause = min(LONGEST_RETRY, max(FIRST_RETRY, self._pause * 2))
                pause = max(self._pause, self._asked_pause)
                self._condition.wait_for(lambda: self._stopping or self._asked > asked, pause)

    @property
    def _is_off(self) -> bool:
        return self.not_sent is not None

    # -- for the kinds of delivery ---------------------------------------------------------------------------------------------

    @abstractmethod
    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Deliver everything that waits. Return None, or the reason why something still waits."""

    def interrupt(self) -> None:
        """End a delivery under way, from another thread."""

    def shut_down(self) -> None:
        """Close the exporter, in the worker's thread."""

    def keep_pause(self, outcome: Outcome) -> None:
        """Make the next pause as long as the endpoint has asked for, within LONGEST_ASKED_PAUSE."""
        self._asked_pause = min(outcome.retry_after_s, LONGEST_ASKED_PAUSE)

    def note_accepted(self, connection: sqlite3.Connection) -> None:
        """Write into the store that the endpoint accepted something. The caller holds the transaction."""
        now_ns = time.time_ns()
        exporter_state.note_accepted(connection, self.signal, self.exporter_name, now_ns)
        if self.signal in _TOTALS:
            self._accepted_ns = note_totals_accepted(connection, now_ns)

    def note_committed(self) -> None:
        """Note outside the store, too, that the endpoint accepted totals. Call this after the transaction of ``note_accepted``."""
        note_outside(self._path, self._accepted_ns)

    def note_error(self, connection: sqlite3.Connection, error: str | None) -> None:
        """Write the error into the store, where ``status`` finds it. Log it if it is new."""
        if not exporter_state.note_error(connection, self.signal, self.exporter_name, error or ""):
            return
        if error:
            _log.warning("%s: %s", self.title, error)
        else:
            _log.info("%s: accepted again", self.title)
