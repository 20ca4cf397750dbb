"""The daemon's loop: read what was captured, follow the transcripts, deliver, forget, and exit when there is nothing to do."""

from __future__ import annotations

import contextlib
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TextIO

from claude_hooks_otel.daemon.assembly import Daemon, assemble_daemon
from claude_hooks_otel.daemon.log import Trouble, log_handler
from claude_hooks_otel.daemon.recovery import keep_open_store, prepare_store
from claude_hooks_otel.daemon.replacement import installed_version
from claude_hooks_otel.home.flush_requests import FlushAnswer, FlushRequests
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config, OtelSettings, keep_usable, load_usable
from claude_hooks_otel.sources.captured import EVENTS_PER_BATCH
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.spool_budget import Budget, forget_dropped, keep_budget, take_dropped
from claude_hooks_otel.store.damage import is_damage
from claude_hooks_otel.store.schema import NewerStoreError
from claude_hooks_otel.store.store import LostStoreError
from claude_hooks_otel.timeline import (
    BUSY_FOR,
    DRAIN_FOR,
    FLUSH_TIMEOUT,
    FORGET_EVERY,
    RECOVER_EVERY,
    ROUND_CALM,
    SPOOL_LOOK_BUSY,
    SPOOL_LOOK_CALM,
    STORE_RETRY,
)
from claude_hooks_otel.units import DAY, END_OF_TIME

# Seconds between two recoveries of a store that a running daemon finds damaged. Otherwise they would fill the disk.
REPAIR_EVERY = 600.0
# Seconds in which ``rm store.db*`` deletes all files. If they were written again earlier, it would delete some of the new ones.
DELETED_WITHIN = 0.5

_log = logging.getLogger("claude_hooks_otel.daemon")


class Loop:
    """One daemon at work.

    Args:
        home: its home.
        environ: its environment. ``CLAUDE_HOOKS_OTEL_*`` and ``OTEL_*`` count.
        now_ns: the clock, Unix nanoseconds.
        lock: the daemon's lock. If its file is deleted or replaced, the daemon writes nothing more, and ends.
        stopping: ends the loop when it is set.
        console: where the exporter ``console`` writes; by default a file in the home.

    Raises:
        NewerStoreError: a newer version wrote the store.
        sqlite3.Error: the store cannot be used now.
        OSError: the same.
    """

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        now_ns: Callable[[], int] = time.time_ns,
        *,
        lock: DaemonLock | None = None,
        stopping: threading.Event | None = None,
        console: TextIO | None = None,
    ) -> None:
        self.stopping = stopping or threading.Event()
        self._home = home
        self._now_ns = now_ns
        self._lock = lock
        self._console = console
        self._environ = environ
        self._config, self._problem = _config(home, environ)
        self._otel = OtelSettings.from_config(self._config, environ, is_own=home.is_trusted())
        for warning in self._otel.warnings:
            _log.warning("%s", warning)
        self._daemon: Daemon | None = self._open()
        self._flush_requests = FlushRequests(home)
        self._spool_seen = -1
        self._active_at = time.monotonic()
        self._version = installed_version()
        self.is_replaced = False
        self._recovered_at = self._forgot_at = self._repaired_at = float("-inf")
        self._trouble = Trouble()

    def _open(self, damage: str | None = None) -> Daemon:
        prepare_store(self._home, self._config, self._now_ns, damage=damage)
        daemon = assemble_daemon(
            self._home, self._config, self._otel, self._now_ns,
            is_config_bad=bool(self._problem), console=self._console, environ=self._environ,
        )  # fmt: skip
        daemon.core.store.guard(self._check_place)
        return daemon

    @property
    def _open_daemon(self) -> Daemon:
        if self._daemon is None:
            self._daemon = self._open()
        return self._daemon

    def _check_place(self) -> None:
        """Make sure that this daemon may write to the store.

        Raises:
            LostStoreError: it may not.
        """
        if self._lock is not None and self._lock.is_lost:
            raise LostStoreError(f"{self._home.lock} was deleted or replaced")
        if self._daemon is not None and not self._daemon.core.store.is_in_place:
            raise LostStoreError(f"{self._home.store} was deleted or replaced")

    def run(self) -> None:
        """Work until the daemon has been idle for the idle timeout, or until it is stopped."""
        _log.info("started; exporting to: %s", self._open_daemon.deliveries.describe())
        try:
            while not self.stopping.is_set():
                try:
                    busy = self.work()
                except (sqlite3.Error, OSError, MemoryError, NewerStoreError) as error:
                    if self._is_over(error):
                        break
                    self._keep_spool()
                    continue
                self._trouble.end()
                if busy:
                    self._active_at = time.monotonic()
                if self.is_replaced:
                    _log.info("leaving: the package was replaced")
                    break
                if busy:
                    continue
                if self._may_leave():
                    _log.info("leaving: nothing to do for %s s", self._config.daemon.idle_timeout_seconds)
                    break
                self._wait()
        finally:
            self.close()

    def _wait(self) -> None:
        """Wait until there is something new, but not longer than until the next round."""
        now = time.monotonic()
        is_busy = now - self._active_at < BUSY_FOR
        look, until = (SPOOL_LOOK_BUSY, now) if is_busy else (SPOOL_LOOK_CALM, now + ROUND_CALM - SPOOL_LOOK_CALM)
        while not self.stopping.wait(look) and time.monotonic() < until and not self._has_news():
            pass

    def _has_news(self) -> bool:
        core = self._open_daemon.core
        return core.spool.changed() != self._spool_seen or core.intake.has_growth() or self._flush_requests.waiting()

    def _is_over(self, error: Exception) -> bool:
        """Deal with an error of the store or the spool. Return whether the daemon has to end."""
        self._spool_seen = -1
        if self._lock is not None and self._lock.is_lost:
            _log.error("leaving at once: %s was deleted or replaced, so another daemon may run", self._home.lock)
            return True
        if isinstance(error, NewerStoreError):
            _log.error("leaving: %s. Events wait in the spool", error)
            return True
        try:
            if isinstance(error, LostStoreError):
                _log.error("the store is opened again: %s", error)
                time.sleep(DELETED_WITHIN)
                self._close_lost_store()
            elif is_damage(error) and time.monotonic() - self._repaired_at > REPAIR_EVERY:
                self._repaired_at = time.monotonic()
                self._close_now()
                self._daemon = self._open(damage=str(error))
            else:
                self._trouble.begin(error)
                self.stopping.wait(STORE_RETRY)
        except (sqlite3.Error, OSError) as again:
            self._trouble.begin(again)
            self.stopping.wait(STORE_RETRY)
        return False

    def _close_lost_store(self) -> None:
        """Close a store whose files were deleted or replaced, and keep what it holds. The next round opens the one at its path."""
        if self._daemon is not None:
            if self._home.root.is_dir() and not self._daemon.core.store.is_in_place:
                keep_open_store(self._home, self._daemon.core.store, self._now_ns())
            self._close_now()

    def _close_now(self) -> None:
        """Close the store without another delivery. The next round opens it again."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.abandon()

    def work(self) -> bool:
        """Do one round. Return whether there may be more to do at once."""
        self._check_place()
        core, deliveries = self._open_daemon.core, self._open_daemon.deliveries
        seen = core.spool.changed()
        taken = 0
        if seen != self._spool_seen:
            taken = core.intake.take_events()
            if taken < EVENTS_PER_BATCH:
                self._spool_seen = seen  # it was read before the files were: a file that came since changes it again
        if taken == EVENTS_PER_BATCH:
            return True  # a backlog: transcripts and deliveries can wait
        lines = core.intake.follow_sessions()
        if self._flush_requests.waiting():
            self.drain()
            self._flush_requests.answer(self.flush(self._flush_requests.timeout))
        self._open_daemon.budgets.work()
        deliveries.work()
        self._keep_house()
        return bool(taken or lines)

    def drain(self, seconds: float = DRAIN_FOR) -> None:
        """Read everything that has been captured so far.

        Args:
            seconds: how long it reads on in transcripts that are too large for one look.
        """
        intake = self._open_daemon.core.intake
        self._open_daemon.core.spool.recover()
        while intake.take_events():
            pass
        intake.follow_sessions(everything=True, pair_now=True)
        begin = time.monotonic()
        while intake.is_behind and time.monotonic() - begin < seconds:
            if not intake.follow_sessions(everything=True, pair_now=True):
                break  # a file system hangs

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> FlushAnswer:
        """Deliver everything now, and wait for the endpoints' answers, at most ``timeout`` seconds."""
        return replace(
            self._open_daemon.deliveries.flush(timeout),
            is_behind=self._open_daemon.core.intake.is_behind,
            config_error=self._problem,
        )

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._recovered_at > RECOVER_EVERY:
            self._recovered_at = now
            self._open_daemon.core.spool.recover()
            self._keep_spool()
            self._count_dropped()
            self.is_replaced = installed_version() != self._version
        if now - self._forgot_at > FORGET_EVERY and self._open_daemon.clock.is_steady():
            self._forgot_at = now
            self._open_daemon.core.intake.forget(self._now_ns() - self._config.daemon.retention_days * DAY)

    def _keep_spool(self) -> None:
        """Keep the budget of the spool, also while the store cannot be written."""
        limits = self._config.spool
        with contextlib.suppress(OSError):
            is_steady = self._daemon is not None and self._daemon.clock.is_steady()
            max_age_ns = round(limits.max_age_days * DAY) if is_steady else END_OF_TIME
            budget = Budget(round(limits.max_megabytes * 1e6), limits.max_events, max_age_ns)
            if dropped := keep_budget(Spool(self._home.spool), budget, self._now_ns):
                _log.error("%s events were dropped, because too many waited in the spool for too long", dropped)

    def _count_dropped(self) -> None:
        """Count the events that hooks, programs and this daemon have dropped from the spool."""
        core = self._open_daemon.core
        if dropped := take_dropped(core.spool):
            with core.store.transaction():
                core.intake.count_dropped("spool_budget", dropped)
                core.store.after_commit(lambda: forget_dropped(core.spool))

    def _may_leave(self) -> bool:
        idle = time.monotonic() - self._active_at
        return idle > self._config.daemon.idle_timeout_seconds and not self._open_daemon.core.intake.has_live_sessions

    def close(self) -> None:
        """Deliver what is new once more, briefly, and close everything. Without the lock, only close everything."""
        if self._daemon is None:
            return
        try:
            self._check_place()
        except LostStoreError:
            if self._lock is None or not self._lock.is_lost:
                self._close_lost_store()
            self._close_now()
        else:
            self._daemon.close()


def _config(home: Home, environ: Mapping[str, str]) -> tuple[Config, str]:
    """Return the configuration, and what is wrong with it; empty if nothing is."""
    config, problem = load_usable(home.config, home.last_config, environ)
    if problem:
        _log.error("the configuration cannot be used: %s", " ".join(problem.split()))
    else:
        with contextlib.suppress(OSError):  # a full disk: the configuration itself is fine
            keep_usable(home.config, home.last_config)
    return config, problem


def serve(
    home: Home, environ: Mapping[str, str], lock: DaemonLock | None = None, console: TextIO | None = None
) -> bool:
    """Run the daemon of a home until it is idle or gets SIGTERM or SIGINT. The caller holds the lock.

    Return whether the package was replaced meanwhile, so that the new version has to go on.

    Args:
        home: the home.
        environ: what configures it.
        lock: the lock, so that the daemon ends when its file is deleted.
        console: as for ``Loop``.
    """
    home.create()
    logging.basicConfig(level=logging.INFO, handlers=[log_handler(home)])
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if (loop := _started(home, environ, lock, stopping, console)) is not None:
        loop.run()
        return loop.is_replaced and installed_version() is not None
    return False


def _started(
    home: Home, environ: Mapping[str, str], lock: DaemonLock | None, stopping: threading.Event, console: TextIO | None
) -> Loop | None:
    """Return a loop, as soon as the store can be opened. None if that never happens."""
    trouble = Trouble()
    while not (stopping.is_set() or (lock is not None and lock.is_lost)):
        try:
            loop = Loop(home, environ, lock=lock, stopping=stopping, console=console)
        except NewerStoreError as error:
            _log.error("could not start: %s. Events wait in the spool", error)
            return None
        except (sqlite3.Error, OSError) as error:
            trouble.begin(error)
            stopping.wait(STORE_RETRY)
        except Exception:
            _log.exception("could not start")
            raise
        else:
            trouble.end()
            return loop
    return None
