"""Flushes a home through its running daemon. Without one, this process does the daemon's work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace

from claude_hooks_otel.home.flush_requests import DaemonEndedError, FlushAnswer, request_flush
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import load_usable

_package_log = logging.getLogger("claude_hooks_otel")


def flush_now(home: Home, timeout: float, environ: Mapping[str, str]) -> FlushAnswer:
    """Read everything captured so far and deliver it now.

    Args:
        home: the home to flush.
        timeout: how long to wait for endpoints, in seconds.
        environ: the environment that configures the exports if no daemon runs.

    Raises:
        TimeoutError: a running daemon did not answer in time.
        NewerStoreError: a newer version wrote the store.
        sqlite3.Error: the store cannot be used now.
        OSError: the same.
    """
    while True:
        try:
            lock = DaemonLock.acquire(home)
        except AlreadyRunningError:
            with contextlib.suppress(DaemonEndedError):  # it was told to stop: its lock is free now
                return _with_problem(home, request_flush(home, timeout))
        else:
            return _flush_here(home, lock, timeout, environ)


def _with_problem(home: Home, answer: FlushAnswer) -> FlushAnswer:
    """Return a daemon's answer, with what is wrong with the configuration file now: it may have changed since the daemon began."""
    return replace(answer, config_error=load_usable(home.config, home.last_config, {})[1])


def _flush_here(home: Home, lock: DaemonLock, timeout: float, environ: Mapping[str, str]) -> FlushAnswer:
    """Do the daemon's work in this process."""
    try:
        home.create()
        # Only the holder of the lock pays for the imports.
        from claude_hooks_otel.daemon.log import log_handler  # noqa: PLC0415
        from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415

        handler = log_handler(home)  # what the daemon would log belongs there, and not on the screen
        _package_log.addHandler(handler)
        try:
            loop = Loop(home, environ, lock=lock)
            try:
                loop.drain(timeout)
                return loop.flush(timeout)
            finally:
                loop.close()
        finally:
            _package_log.removeHandler(handler)
            handler.close()
    finally:
        lock.release()
