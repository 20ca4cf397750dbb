"""When an endpoint last accepted totals, noted in the store and outside of it: as the modification time of an empty file.

A store that went back in time, such as one that lost its WAL or a restored backup, has an earlier time than the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from claude_hooks_otel.store.connection import read_meta, write_meta

_NAME: Final = "accepted_ns"


def note_totals_accepted(connection: sqlite3.Connection, at_ns: int) -> int:
    """Note in the store that an endpoint accepted totals, inside the caller's transaction. Return the time for the file."""
    newest = max(at_ns, _in_store(connection))
    write_meta(connection, _NAME, str(newest))
    return newest


def note_outside(store: Path, at_ns: int) -> None:
    """Note the same in the file, after the transaction: the file is never ahead of a store that lost nothing.

    Args:
        store: the store's file.
        at_ns: what ``note_totals_accepted`` returned, Unix nanoseconds.
    """
    with contextlib.suppress(OSError):  # without the file, an older store is not noticed
        path = _file(store)
        path.touch(mode=0o600)
        os.utime(path, ns=(at_ns, at_ns))


def accepted_ns(store: Path, connection: sqlite3.Connection) -> int:
    """Return when an endpoint last accepted totals, as far as the store or the file says so, Unix nanoseconds; 0 if none did."""
    return max(_in_store(connection), _in_file(store))


def is_store_behind(store: Path, connection: sqlite3.Connection) -> bool:
    """Return whether an endpoint has accepted newer totals than the store says."""
    return _in_file(store) > _in_store(connection)


def _in_store(connection: sqlite3.Connection) -> int:
    return int(read_meta(connection, _NAME) or 0)


def _in_file(store: Path) -> int:
    try:
        return _file(store).stat().st_mtime_ns
    except OSError:
        return 0


def _file(store: Path) -> Path:
    return store.with_name(f"{store.name}.accepted")
