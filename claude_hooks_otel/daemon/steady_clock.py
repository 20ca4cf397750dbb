"""Whether the clock can be trusted for deleting what is old.

A clock that jumps ahead by a year makes everything look old. What is deleted then is lost, although the clock is right again a minute
later. So what is too old is deleted only after the clock has gone on without a jump for a day. Limits of size hold at any time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from claude_hooks_otel.units import DAY, MINUTE

if TYPE_CHECKING:
    from claude_hooks_otel.store.store import Store

# What the clock may gain on the monotonic clock, or on the last daemon's last time. The machine may have slept, and its user been away.
_ALLOWED: Final = 30 * DAY
# A correction of the clock, which is no jump.
_CORRECTION: Final = 5 * MINUTE
# How long the clock has to go on before anything is deleted for its age.
_STEADY_FOR: Final = DAY
# How often the time is written into the store.
_WRITTEN_EVERY: Final = 10 * MINUTE


class SteadyClock:
    """Notices when the clock jumps, over restarts too.

    Args:
        store: remembers the clock's last time, and since when it is steady.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written_ns = int(store.meta("clock_ns") or 0)
        self._since_ns = int(store.meta("clock_steady_since_ns") or 0)
        self._last_ns, self._last_monotonic_ns = self._written_ns, 0
        self.is_steady()

    def is_steady(self) -> bool:
        """Return whether the clock has not jumped for a day. A new store has nothing old, so its clock counts as steady."""
        now_ns, monotonic_ns = self._store.now_ns(), time.monotonic_ns()
        passed_ns = monotonic_ns - self._last_monotonic_ns if self._last_monotonic_ns else 0
        gained_ns = now_ns - self._last_ns - passed_ns
        if self._last_ns and not -_CORRECTION <= gained_ns <= _ALLOWED:
            self._write(now_ns, now_ns)
        elif now_ns - self._written_ns >= _WRITTEN_EVERY:
            self._write(now_ns, self._since_ns)
        self._last_ns, self._last_monotonic_ns = now_ns, monotonic_ns
        return now_ns - self._since_ns >= _STEADY_FOR

    def _write(self, now_ns: int, since_ns: int) -> None:
        self._written_ns, self._since_ns = now_ns, since_ns
        with contextlib.suppress(sqlite3.Error), self._store.transaction():  # a full disk: a restart forgets this
            self._store.set_meta("clock_ns", str(now_ns))
            self._store.set_meta("clock_steady_since_ns", str(since_ns))
