"""The daemon's loop: read what was captured, follow the transcripts, deliver, forget, and exit when there is nothing to do."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import claude_hooks_otel
from claude_hooks_otel.daemon.assembly import assemble_daemon
from claude_hooks_otel.home.flush_requests import FlushAnswer, FlushRequests
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings, load
from claude_hooks_otel.sources.captured import EVENTS_PER_BATCH
from claude_hooks_otel.sources.spool_budget import Budget, forget_dropped, keep_budget, take_dropped
from claude_hooks_otel.timeline import (
    BUSY_FOR,
    DRAIN_FOR,
    FORGET_EVERY,
    RECOVER_EVERY,
    SPOOL_LOOK_BUSY,
    SPOOL_LOOK_CALM,
    STORE_RETRY,
)
from claude_hooks_otel.units import DAY, END_OF_TIME

# Bytes after which the log is rotated, once.
LOG_BYTES = 1_000_000

_log = logging.getLogger("claude_hooks_otel.daemon")


class Loop:
    """One daemon at work.

    Args:
        home: its home.
        environ: its environment. ``CLAUDE_HOOKS_OTEL_*`` and ``OTEL_*`` count.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, home: Home, environ: Mapping[str, str], now_ns: Callable[[], int] = time.time_ns) -> None:
        self.stopping = threading.Event()
        self._now_ns = now_ns
        self._config = _config(home, environ)
        otel = OtelSettings.from_config(self._config, environ)
        for warning in otel.warnings:
            _log.warning("%s", warning)
        self._daemon = assemble_daemon(home, self._config, otel, now_ns)
        self._flush_requests = FlushRequests(home)
        self._spool_seen = -1
        self._active_at = time.monotonic()
        self._version = installed_version()
        self.is_replaced = False
        self._recovered_at = self._forgot_at = float("-inf")

    def run(self) -> None:
        """Work until the daemon has been idle for the idle timeout, or until it is stopped."""
        _log.info("started; exporting to: %s", self._daemon.deliveries.describe())
        try:
            while not self.stopping.is_set():
                try:
                    busy = self.work()
                except (sqlite3.Error, OSError, MemoryError) as error:
                    said = str(error) or type(error).__name__
                    _log.error("the store or the spool cannot be used for now, events wait in the spool: %s", said)
                    self._keep_spool()
                    self._spool_seen = -1
                    self.stopping.wait(STORE_RETRY)
                    continue
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
                is_busy = time.monotonic() - self._active_at < BUSY_FOR
                self.stopping.wait(SPOOL_LOOK_BUSY if is_busy else SPOOL_LOOK_CALM)
        finally:
            self.close()

    def work(self) -> bool:
        """Do one round. Return whether there may be more to do at once."""
        core, deliveries = self._daemon.core, self._daemon.deliveries
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
            self._flush_requests.answer(self.flush())
        deliveries.work()
        self._keep_house()
        return bool(taken or lines)

    def drain(self, seconds: float = DRAIN_FOR) -> None:
        """Read everything that has been captured so far.

        Args:
            seconds: how long it reads on in transcripts that are too large for one look.
        """
        intake = self._daemon.core.intake
        self._daemon.core.spool.recover()
        while intake.take_events():
            pass
        intake.follow_sessions(everything=True, pair_now=True)
        begin = time.monotonic()
        while intake.is_behind and time.monotonic() - begin < seconds:
            if not intake.follow_sessions(everything=True, pair_now=True):
                break  # a file system hangs

    def flush(self) -> FlushAnswer:
        """Deliver everything now, and wait for the endpoints' answers."""
        return replace(self._daemon.deliveries.flush(), is_behind=self._daemon.core.intake.is_behind)

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._recovered_at > RECOVER_EVERY:
            self._recovered_at = now
            self._daemon.core.spool.recover()
            self._keep_spool()
            self._count_dropped()
            self.is_replaced = installed_version() != self._version
        if now - self._forgot_at > FORGET_EVERY and self._daemon.clock.is_steady():
            self._forgot_at = now
            self._daemon.core.intake.forget(self._now_ns() - self._config.daemon.retention_days * DAY)

    def _keep_spool(self) -> None:
        """Keep the budget of the spool, also while the store cannot be written."""
        limits = self._config.spool
        with contextlib.suppress(OSError):
            max_age_ns = round(limits.max_age_days * DAY) if self._daemon.clock.is_steady() else END_OF_TIME
            budget = Budget(round(limits.max_megabytes * 1e6), limits.max_events, max_age_ns)
            if dropped := keep_budget(self._daemon.core.spool, budget, self._now_ns):
                _log.error("%s events were dropped, because too many waited in the spool for too long", dropped)

    def _count_dropped(self) -> None:
        """Count the events that hooks, programs and this daemon have dropped from the spool."""
        core = self._daemon.core
        if dropped := take_dropped(core.spool):
            with core.store.transaction():
                core.intake.count_dropped("spool_budget", dropped)
                core.store.after_commit(lambda: forget_dropped(core.spool))

    def _may_leave(self) -> bool:
        idle = time.monotonic() - self._active_at
        return idle > self._config.daemon.idle_timeout_seconds and not self._daemon.core.intake.has_live_sessions

    def close(self) -> None:
        """Deliver what is new once more, briefly, and close everything."""
        self._daemon.close()


def _config(home: Home, environ: Mapping[str, str]) -> Config:
    try:
        return load(home.config, environ)
    except ConfigError as error:
        _log.error("the configuration cannot be used, the defaults apply: %s", error)
        return Config()


def installed_version() -> tuple[int, int] | None:
    """Return what changes when the package is installed again; None while it is not installed."""
    try:
        status = Path(claude_hooks_otel.__file__).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def start_again() -> NoReturn:
    """Replace this process by the command that started it, with the package that is installed now."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 — no shell is wanted


def serve(home: Home, environ: Mapping[str, str]) -> bool:
    """Run the daemon of a home until it is idle or gets SIGTERM or SIGINT. The caller holds the lock.

    Return whether the package was replaced meanwhile, so that the new version has to go on.
    """
    home.create()
    handler = logging.handlers.RotatingFileHandler(home.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        loop = Loop(home, environ)
    except Exception:
        _log.exception("could not start")
        raise
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stopping.set())
    loop.run()
    return loop.is_replaced and installed_version() is not None
