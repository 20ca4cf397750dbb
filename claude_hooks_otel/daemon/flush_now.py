"""Flushes a home through its running daemon. Without one, this process does the daemon's work."""

from __future__ import annotations

from collections.abc import Mapping

from claude_hooks_otel.home.flush_requests import FlushAnswer, request_flush
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home


def flush_now(home: Home, timeout: float, environ: Mapping[str, str]) -> FlushAnswer:
    """Read everything captured so far and deliver it now.

    Args:
        home: the home to flush.
        timeout: seconds to wait for a running daemon.
        environ: the environment that configures the exports if no daemon runs.

    Raises:
        TimeoutError: a running daemon did not answer in time.
        NewerStoreError: a newer version wrote the store.
        sqlite3.Error: the store cannot be used now.
        OSError: the same.
    """
    try:
        lock = DaemonLock.acquire(home)
    except AlreadyRunningError:
        return request_flush(home, timeout)
    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415 — only the holder of the lock pays for the imports

    try:
        home.create()
        loop = Loop(home, environ, lock=lock)
        try:
            loop.drain(timeout)
            return loop.flush()
        finally:
            loop.close()
    finally:
        lock.release()
