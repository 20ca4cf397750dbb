"""Removes a home: stops its daemon, then deletes all data."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock, is_running
from claude_hooks_otel.home.paths import Home

# Seconds that a daemon has to export what is new and exit. It needs at most four.
DAEMON_STOPS_WITHIN = 15.0
_POLL = 0.05
# A folder is a home if it holds any of these.
_MARKS = ("spool", "store", "interpreter", "installations")


class PurgeError(Exception):
    """The home was not removed, or its daemon does not stop. The message says why."""


def purge(home: Home) -> None:
    """Remove a home with all its data.

    Raises:
        PurgeError: the folder is not a home, holds other files as well, or its daemon does not stop.
    """
    if not home.root.is_dir():
        return
    _check(home)
    stop_daemon(home).release()
    try:
        shutil.rmtree(home.root)
    except OSError as error:
        raise PurgeError(f"{error.filename} cannot be removed: {error.strerror}") from None


def tell_to_stop(home: Home) -> bool:
    """Tell a running daemon to export what is new and exit. Return whether one was running. The next session starts another."""
    if is_running(home):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(home.pid.read_text()), signal.SIGTERM)
            return True
    return False


def _check(home: Home) -> None:
    """Refuse to remove a folder that holds anything else: the variable may name any folder."""
    if home.root.is_symlink():
        raise PurgeError(f"{home.root} is a symbolic link. Remove what it points to yourself.")
    known = {path.name for path in _paths(home)}
    strangers = sorted(
        entry.name for entry in home.root.iterdir() if not any(entry.name.lstrip(".").startswith(own) for own in known)
    )
    if strangers:
        raise PurgeError(
            f"{home.root} holds files that are not from claude-hooks-otel ({', '.join(strangers[:5])}): remove it yourself"
        )
    if not any(getattr(home, mark).exists() for mark in _MARKS):
        raise PurgeError(f"{home.root} is not a home of claude-hooks-otel: none of its files are there.")


def _paths(home: Home) -> list[Path]:
    """Return every path that ``Home`` names below its root."""
    values = (getattr(home, name) for name, member in vars(Home).items() if isinstance(member, property))
    return [value for value in values if isinstance(value, Path)]


def stop_daemon(home: Home) -> DaemonLock:
    """Stop the daemon and hold its lock, so that none starts while its files are changed.

    Raises:
        PurgeError: the daemon does not stop.
    """
    deadline = time.monotonic() + DAEMON_STOPS_WITHIN
    told = False
    while True:
        try:
            return DaemonLock.acquire(home)
        except AlreadyRunningError:
            told = told or tell_to_stop(home)
            if time.monotonic() > deadline:
                raise PurgeError(
                    f"The daemon of {home.root} does not stop. Run `claude-hooks-otel daemon --stop` and try again."
                ) from None
            time.sleep(_POLL)
