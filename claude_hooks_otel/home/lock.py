"""One daemon per home: a lock that the operating system releases when its holder dies, even by ``kill -9``.

This module imports little, and only from the standard library: it runs first in every process that wants to be the daemon.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Self

from claude_hooks_otel.home.paths import Home


class AlreadyRunningError(Exception):
    """Another process is the daemon of this home."""


class DaemonLock:
    """The lock, held from ``acquire`` until ``release`` or the end of the process."""

    def __init__(self, descriptor: int, home: Home) -> None:
        self._descriptor = descriptor
        self._home = home

    @classmethod
    def acquire(cls, home: Home) -> Self:
        """Take the lock and write the pid file, which the hooks read.

        Raises:
            AlreadyRunningError: another process holds it.
        """
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with _turn(home):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunningError from None
        with contextlib.suppress(OSError):  # a full disk: the lock decides, the file only saves hooks a needless start
            home.pid.write_text(f"{os.getpid()}\n")
        return cls(descriptor, home)

    @property
    def is_lost(self) -> bool:
        """Whether the lock file was deleted or replaced. Another process may be the daemon by now."""
        try:
            return not os.path.samestat(self._home.lock.stat(), os.fstat(self._descriptor))
        except OSError:
            return True

    def release(self) -> None:
        """Release the lock. The pid file goes first, so that no hook takes a dead process for the daemon."""
        if not self.is_lost:  # otherwise it may be another daemon's
            self._home.pid.unlink(missing_ok=True)
        os.close(self._descriptor)


def is_running(home: Home) -> bool:
    """Return whether a daemon holds the lock right now."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        with _turn(home):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _turn(home: Home) -> Iterator[None]:
    """Let one process at a time try the lock, so that a process that only asks is not taken for a daemon.

    This second lock is on the home folder itself and is held for two system calls.
    """
    descriptor = os.open(home.root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
