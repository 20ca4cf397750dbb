"""The end of a home: its daemon is told to leave, then everything of ours in it goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock, is_running
from claude_hooks_otel.home.paths import Home

# Seconds that a daemon gets to send what is new and leave; it needs four at most.
DAEMON_LEAVES_WITHIN = 15.0
_POLL = 0.05
# Any of these shows that a folder is a home.
_MARKS = ("spool", "store", "interpreter", "installations")


class PurgeError(Exception):
    """The home is not removed; the message says why."""


def purge(home: Home) -> None:
    """Removes a home with all data.

    Raises:
        PurgeError: the folder is no home of ours, holds something else besides, or its daemon does not leave.
    """
    if not home.root.is_dir():
        return
    _check(home)
    _stop_daemon(home).release()
    try:
        shutil.rmtree(home.root)
    except OSError as error:
        raise PurgeError(f"{error.filename} cannot be removed: {error.strerror}") from None


def tell_to_leave(home: Home) -> bool:
    """Tells a running daemon to send what is new and leave; whether there was one to tell. The next session starts another."""
    if is_running(home):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(home.pid.read_text()), signal.SIGTERM)
            return True
    return False


def _check(home: Home) -> None:
    """Only a folder with nothing in it but what the product makes is removed: the variable may name anything."""
    if home.root.is_symlink():
        raise PurgeError(f"{home.root} is a link: remove what it points to yourself")
    known = {path.name for path in _paths(home)}
    strangers = sorted(
        entry.name for entry in home.root.iterdir() if not any(entry.name.lstrip(".").startswith(own) for own in known)
    )
    if strangers:
        raise PurgeError(
            f"{home.root} holds things that are not of claude-hooks-otel ({', '.join(strangers[:5])}): remove it yourself"
        )
    if not any(getattr(home, mark).exists() for mark in _MARKS):
        raise PurgeError(f"{home.root} is no home of claude-hooks-otel: nothing of it is in there")


def _paths(home: Home) -> list[Path]:
    """Every path that ``Home`` names below its root."""
    values = (getattr(home, name) for name, member in vars(Home).items() if isinstance(member, property))
    return [value for value in values if isinstance(value, Path)]


def _stop_daemon(home: Home) -> DaemonLock:
    """Ends the daemon and takes its place, so that none starts while the folder goes."""
    deadline = time.monotonic() + DAEMON_LEAVES_WITHIN
    told = False
    while True:
        try:
            return DaemonLock.acquire(home)
        except AlreadyRunningError:
            told = told or tell_to_leave(home)
            if time.monotonic() > deadline:
                raise PurgeError(
                    f"the daemon of {home.root} does not leave: end it (`claude-hooks-otel daemon --stop`)"
                ) from None
            time.sleep(_POLL)
