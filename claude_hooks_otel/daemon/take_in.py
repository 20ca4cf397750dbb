"""Takes in what waits in the spool, so that an answer for people has it."""

from __future__ import annotations

from claude_hooks_otel.home.flush_requests import request_flush
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources.spool import Spool


def take_in(home: Home, timeout: float) -> int:
    """Read what waits in the spool, and the transcripts that it names. Return how many events still wait.

    A running daemon is asked to do it. Without one, this process does the daemon's work for a moment.

    Args:
        home: the home.
        timeout: seconds to wait for a running daemon, and to read on in large transcripts.

    Raises:
        OSError: the home cannot be written.
        sqlite3.Error: the store cannot be used.
    """
    spool = Spool(home.spool)
    if not spool.depth():
        return 0
    try:
        lock = DaemonLock.acquire(home)
    except AlreadyRunningError:
        try:
            request_flush(home, timeout)
        except TimeoutError:  # an endpoint hangs, but the events may be in the store already
            return spool.depth()
        return 0
    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415 — only the holder of the lock pays for the imports

    try:
        home.create()
        loop = Loop(home, {})
        try:
            loop.drain(timeout)
        finally:
            loop.close()
    finally:
        lock.release()
    return 0
