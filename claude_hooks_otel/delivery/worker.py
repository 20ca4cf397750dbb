"""One worker delivers to one exporter, in a thread of its own. A slow endpoint never holds up the intake or another exporter."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from claude_hooks_otel.delivery import exporter_state
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.timeline import FIRST_RETRY, LONGEST_RETRY

_log = logging.getLogger(__name__)


class Worker(threading.Thread, ABC):
    """Delivers what waits, waits for more, and pauses after a failure: longer each time, up to a minute.

    Args:
        signal: what it delivers.
        name: the exporter's name in the configuration.
        path: the store's file. The thread opens a connection of its own.

    Attributes:
        failures: how many tries have failed since the start.
        dropped: how many items or measurements were given up since the start.
        not_sent: why the endpoint gets nothing of this signal, which nobody asked for by name; None if it does.
    """

    def __init__(self, signal: str, name: str, path: Path) -> None:
        super().__init__(name=f"{name}-{signal}", daemon=True)
        self.signal = str(signal)
        self.exporter_name = name
        self.failures = 0
        self.dropped = 0
        self.not_sent: str | None = None
        self._path = path
        self._condition = threading.Condition()
        self._news = True
        self._stopping = self._resting = False
        self._asked = self._answered = 0
        self._failure: str | None = None
        self._pause = 0.0

    @property
    def title(self) -> str:
        """Its name for people, such as ``otlp traces``."""
        return f"{self.exporter_name} {self.signal}"

    # -- for the loop ----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Say that there is something new. It is no reason to try a failing endpoint any sooner."""
        with self._condition:
            self._news = True
            self._condition.notify_all()

    def ask(self) -> int:
        """Ask for everything that waits to be delivered now. Return a number for ``answer``."""
        with self._condition:
            self._asked += 1
            self._condition.notify_all()
            return self._asked

    def answer(self, number: int, timeout: float) -> str | None:
        """Wait until everything is delivered that waited when it was asked for. Return None, or why it is not.

        Args:
            number: what ``ask`` returned.
            timeout: seconds to wait.
        """
        with self._condition:
            if self._condition.wait_for(lambda: self._is_off or self._answered >= number, timeout):
                return self._failure
            return self._failure or f"no answer within {timeout:g} s"

    def stop(self) -> None:
        """End the thread, a delivery under way included."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self.interrupt()

    # -- the thread ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver until stopped."""
        with contextlib.closing(connect(self._path)) as connection:
            while not (self._stopping or self._is_off):
                with self._condition:
                    self._news = self._resting = False
                    asked = self._asked
                self._rest(self._try(connection), asked)
        self.shut_down()

    def _try(self, connection: sqlite3.Connection) -> str | None:
        try:
            return self.deliver(connection)
        except sqlite3.Error as error:
            return f"the store cannot be used for now: {error}"
        except Exception as error:
            _log.exception("%s could not be delivered", self.title)
            return f"{type(error).__name__}: {error}"

    def _rest(self, failure: str | None, asked: int) -> None:
        """Answer who asked, and wait: for something new, or for the next try."""
        with self._condition:
            self._failure, self._answered, self._resting = failure, asked, True
            self._condition.notify_all()
            if failure is None:
                self._pause = 0.0
                self._condition.wait_for(lambda: self._stopping or self._is_off or self._news or self._asked > asked)
            else:
                self.failures += 1
                self._pause = min(LONGEST_RETRY, max(FIRST_RETRY, self._pause * 2))
                self._condition.wait_for(lambda: self._stopping or self._asked > asked, self._pause)

    @property
    def _is_off(self) -> bool:
        return self.not_sent is not None

    # -- for the kinds of delivery ---------------------------------------------------------------------------------------------

    @abstractmethod
    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Deliver everything that waits. Return None, or why something still waits."""

    def interrupt(self) -> None:
        """End a delivery under way, from another thread."""

    def shut_down(self) -> None:
        """Close the exporter, in the worker's thread."""

    def note_accepted(self, connection: sqlite3.Connection) -> None:
        """Remember that the endpoint accepted something."""
        exporter_state.note_accepted(connection, self.signal, self.exporter_name, time.time_ns())

    def note_error(self, connection: sqlite3.Connection, error: str | None) -> None:
        """Leave in the store what ``status`` shows, and log it when it changes."""
        if not exporter_state.note_error(connection, self.signal, self.exporter_name, error or ""):
            return
        if error:
            _log.warning("%s: %s", self.title, error)
        else:
            _log.info("%s: accepted again", self.title)
