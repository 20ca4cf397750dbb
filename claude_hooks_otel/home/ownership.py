"""Whose home it is. A process of another user, such as root after ``sudo -E``, must not leave files there that the owner cannot read."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from claude_hooks_otel.home.paths import Home


class ForeignHomeError(Exception):
    """The home, or a file in it, belongs to another user. The message says what to do."""


def check_owner(home: Home) -> None:
    """Make sure that this process may create files in a home.

    Raises:
        ForeignHomeError: the home belongs to another user, or would be created in another user's folder, or contains files of another
            user.
    """
    me = os.geteuid()
    place = next(path for path in (home.root, *home.root.absolute().parents) if path.exists())
    owner = place.stat().st_uid
    if owner != me and (place == home.root or me == 0):
        name = user_name(owner)
        raise ForeignHomeError(
            f"{home.root} is the home of the user {name}, and this process runs as {user_name(me)}. "
            f"Run the command as {name}: sudo -u {name} claude-hooks-otel …"
        )
    if foreign := [str(path) for path in foreign_files(home)]:
        name = user_name(Path(foreign[0]).lstat().st_uid)
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise ForeignHomeError(f"{', '.join(foreign[:3])}{more} belong to the user {name}. {repair(home)}")


def repair(home: Home) -> str:
    """Return what gives all files of a home back to this process's user. No event and no total is lost."""
    return (
        f"A session or command that ran as that user made them. Stop it, then run: sudo chown -R {user_name(os.geteuid())} {home.root}. "
        "Nothing is lost: the events wait, and the totals are in the store."
    )


def foreign_files(home: Home) -> Iterator[Path]:
    """Yield the files and folders of a home that belong to another user. Events do not count: their owner can read and delete them."""
    me = os.geteuid()
    try:
        entries = [Path(entry.path) for folder in (home.root, home.spool) for entry in os.scandir(folder)]
    except OSError:
        return
    yield from (path for path in sorted(entries) if path.lstat().st_uid != me)


def user_name(uid: int) -> str:
    """Return a user's name, or the number if it has none here, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
