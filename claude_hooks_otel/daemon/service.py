"""The daemon's loop: take in what was captured, follow the transcripts, hand the series to the exporters, leave when idle."""

from __future__ import annotations

import logging
import logging.handlers
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping

from claude_hooks_otel.daemon.pipeline import EVENTS_PER_TRANSACTION, Pipeline
from claude_hooks_otel.delivery import record_exports
from claude_hooks_otel.delivery.measurements import CustomExporters
from claude_hooks_otel.delivery.metric_exports import Exports
from claude_hooks_otel.home.flush_requests import FlushRequests
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings.config import Config, ConfigError, load, otel_environment

# Seconds between looks at the spool: while something is going on, and otherwise. A look is two system calls.
BUSY_WAIT, CALM_WAIT = 0.25, 1.0
BUSY_FOR = 5.0
# Seconds between looks for what killed hooks left in the spool, and between rounds of forgetting facts past their retention.
RECOVER_EVERY, PRUNE_EVERY = 60.0, 3600.0
# Seconds to wait after the store could not be written (a full disk) before trying again; the events wait in the spool.
STORE_RETRY = 5.0
# A log of this many bytes is rotated, once.
LOG_BYTES = 1_000_000

_log = logging.getLogger("claude_hooks_otel.daemon")


class Service:
    """One daemon at work.

    Args:
        home: whose daemon.
        environ: its environment; ``CLAUDE_HOOKS_OTEL_*`` and ``OTEL_*`` count.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, home: Home, environ: Mapping[str, str], now_ns: Callable[[], int] = time.time_ns) -> None:
        self.home = home
        self.stopping = threading.Event()
        self.config = _config(home, environ)
        variables = otel_environment(self.config, environ)
        self.pipeline = Pipeline(home, self.config, now_ns, keep_content=record_exports.are_exported(variables))
        self.records = record_exports.RecordExports(self.pipeline, variables, self.config)
        delay = self.config.daemon.export_delay_seconds
        self.exports = Exports(self.pipeline, variables, delay, self.records.gauges)
        self.custom = CustomExporters(self.pipeline.store, self.pipeline.book, self.config.exporters)
        self.flushes = FlushRequests(home)
        self._spool_seen = -1
        self._active_at = time.monotonic()
        self._recovered_at = self._pruned_at = float("-inf")

    def run(self) -> None:
        """Works until there has been nothing to do for the idle time, or until told to stop."""
        _log.info(
            "started; exporting to: %s", "; ".join(filter(None, (self.exports.describe(), self.records.describe())))
        )
        try:
            while not self.stopping.is_set():
                try:
                    busy = self.work()
                except (sqlite3.Error, OSError) as error:
                    _log.error("store or spool cannot be used for now, events wait in the spool: %s", error)
                    self._spool_seen = -1
                    self.stopping.wait(STORE_RETRY)
                    continue
                if busy:
                    self._active_at = time.monotonic()
                    continue
                if self._may_leave():
                    _log.info("leaving: nothing to do for %s s", self.config.daemon.idle_timeout_seconds)
                    break
                self.stopping.wait(BUSY_WAIT if time.monotonic() - self._active_at < BUSY_FOR else CALM_WAIT)
        finally:
            self.close()

    def work(self) -> bool:
        """One round; returns whether there may be more to do at once."""
        seen = self.pipeline.spool.changed()
        taken = 0
        if seen != self._spool_seen:
            taken = self.pipeline.take_events()
            if taken < EVENTS_PER_TRANSACTION:
                self._spool_seen = seen  # read before the files were: whatever came since changes it again
        if taken == EVENTS_PER_TRANSACTION:
            return True  # a backlog: transcripts and exports can wait
        lines = self.pipeline.follow_sessions()
        self.exports.collect()
        if self.flushes.waiting():
            self.drain()
            self.flushes.answer(self.flush())
        self.records.work()
        self.exports.submit_if_due()
        if self.custom.sample_is_due:
            self.custom.sample(self.exports.gauges_now(), self.pipeline.now_ns())
        self.custom.work()
        self._keep_house()
        return bool(taken or lines)

    def drain(self) -> None:
        """Takes everything in that has been captured so far."""
        while self.pipeline.take_events():
            pass
        self.pipeline.follow_sessions(everything=True, settle=True)

    def flush(self) -> dict[str, str | None]:
        """Exports now and waits; returns for each exporter None, or why it failed."""
        self.records.ask()
        return {**self.exports.flush(), **self.records.answers()}

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._recovered_at > RECOVER_EVERY:
            self._recovered_at = now
            self.pipeline.spool.recover()
        if now - self._pruned_at > PRUNE_EVERY:
            self._pruned_at = now
            self.pipeline.prune(self.config.daemon.retention_days)

    def _may_leave(self) -> bool:
        idle = time.monotonic() - self._active_at
        return idle > self.config.daemon.idle_timeout_seconds and not self.pipeline.has_live_sessions

    def close(self) -> None:
        """Sends what is new once more, briefly, and closes everything."""
        self.exports.close()
        self.records.close()
        self.custom.close()
        self.pipeline.close()


def _config(home: Home, environ: Mapping[str, str]) -> Config:
    try:
        return load(home, environ)
    except ConfigError as error:
        _log.error("the configuration is not usable, the defaults serve: %s", error)
        return Config()


def serve(home: Home, environ: Mapping[str, str]) -> None:
    """Runs the daemon of a home, whose lock the caller holds, until it is idle or gets SIGTERM or SIGINT."""
    home.create()
    handler = logging.handlers.RotatingFileHandler(home.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        service = Service(home, environ)
    except Exception:
        _log.exception("could not start")
        raise
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stopping.set())
    service.run()
