"""What the page keeps in memory between two clicks, and how it knows that the store is still the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Any, Final, TypeVar

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.daily_sums import DailySums
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.store import place

# Results that are kept.
MOST_KEPT: Final = 200

T = TypeVar("T")


class Memory:
    """The memory of one page. Several threads can use it.

    Args:
        home: the home.

    Attributes:
        sums: the sums of days.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = Lock()
        self._place: tuple[Any, ...] | None = None
        self._connection: sqlite3.Connection | None = None
        self._kept: dict[Hashable, tuple[Hashable, Any]] = {}
        self._making: dict[Hashable, RLock] = {}
        self.sums = DailySums()

    def close(self) -> None:
        """Close the connection to the store."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def version(self) -> Hashable:
        """Return what changes whenever anything in the store does, or another file is in its place.

        Raises:
            sqlite3.Error: the store cannot be read.
        """
        with self._lock:
            now = place(self._home.store)[:1]
            if self._connection is None or now != self._place:
                if self._connection is not None:
                    self._connection.close()
                self._connection, self._place = connect(self._home.store, readonly=True, any_thread=True), now
            return now, self._connection.execute("PRAGMA data_version").fetchone()[0]

    def keep(self, name: Hashable, version: Hashable, make: Callable[[], T]) -> T:
        """Return a result, which is made again only if the version has changed. What somebody else makes already is awaited."""
        with self._lock:
            making = self._making.setdefault(name, RLock())
        with making:
            return self._keep(name, version, make)

    def _keep(self, name: Hashable, version: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and kept[0] == version:
            found: T = kept[1]
            return found
        made = make()
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = version, made
            while len(self._kept) > MOST_KEPT:
                oldest = next(iter(self._kept))
                self._kept.pop(oldest)
                self._making.pop(oldest, None)
        return made
