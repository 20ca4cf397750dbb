"""Open the store's file, run a transaction in it, and read and write its named values."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

# Seconds that a reader or a second process waits for a lock.
BUSY_TIMEOUT_SECONDS = 10.0
# Page cache, KiB: small, because the daemon promises to need little memory.
CACHE_KIB = 4096
# Parameters of one statement: older versions of SQLite take 999.
MOST_PARAMETERS: Final = 900


def connect(path: Path, *, readonly: bool = False, any_thread: bool = False) -> sqlite3.Connection:
    """Open the store's file.

    Args:
        path: the file.
        readonly: whether it is only read.
        any_thread: whether several threads use it to read, one at a time.

    Raises:
        sqlite3.OperationalError: the file cannot be opened, or (read-only) does not exist.
    """
    if readonly:
        connection = sqlite3.connect(
            f"file:{path}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_SECONDS,
            check_same_thread=not any_thread,
        )
        connection.execute("PRAGMA query_only = 1")
        return connection
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, cached_statements=256, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    # A spool file is deleted after the commit that holds its content, so the commit must be on disk.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything that the block writes, or nothing. Takes the write lock at once, so that it cannot fail half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended the transaction already
            connection.execute("ROLLBACK")
        raise


def read_meta(connection: sqlite3.Connection, name: str) -> str:
    """Return a named value, or an empty text."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row[0])


def write_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Store a named value."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def portions(names: Sequence[T], most: int = MOST_PARAMETERS) -> Iterator[Sequence[T]]:
    """Split names into portions that one statement can hold."""
    for start in range(0, len(names), most):
        yield names[start : start + most]
