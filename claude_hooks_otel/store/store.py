"""The store as its one writer sees it: transactions, named values, and forgetting."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from claude_hooks_otel.store.connection import connect, read_meta, transaction, write_meta
from claude_hooks_otel.store.schema import Room, bring_up_to_date


class Participant(Protocol):
    """Something that gathers in memory during a transaction and is written with it."""

    def mark(self) -> int:
        """Return where it stands now."""

    def rewind(self, mark: int) -> None:
        """Forget what came after a mark."""

    def flush(self) -> object:
        """Write what has gathered, inside the transaction."""

    def discard(self) -> None:
        """Forget everything that has gathered: the transaction did not happen."""


class Lock(Protocol):
    """A lock between processes."""

    def acquire(self) -> bool:
        """Wait for the lock, and take it."""

    def release(self) -> None:
        """Give the lock back."""


class LostStoreError(sqlite3.Error):
    """The file at the store's path is not the one that was opened, or this process may not write to it any more."""


class Store:
    """One SQLite file (WAL). The daemon is its only writer; everything else opens it read-only.

    Args:
        path: the database file; it is created if it does not exist.
        now_ns: the clock, Unix nanoseconds.
        rooms: the rooms that keep tables in the store. They forget in this order.

    Raises:
        NewerStoreError: a newer version wrote the file.
        LostStoreError: somebody deletes it at this moment.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int], rooms: Sequence[Room]) -> None:
        self.path = path
        self.now_ns = now_ns
        self.connection = connect(path)
        self._rooms = rooms
        self._participants: tuple[Participant, ...] = ()
        self._after_commit: list[Callable[[], None]] = []
        self._guard: Callable[[], None] = lambda: None
        self._lock: Lock | None = None
        self._holds_lock = False
        try:
            with transaction(self.connection):
                bring_up_to_date(self.connection, rooms)
                self.meta("created_ns", str(now_ns()))
                self.meta("instance_id", str(uuid.uuid4()))
            self._place = self._opened_place()
        except BaseException:
            self.close()
            raise

    def _opened_place(self) -> tuple[tuple[int, int] | None, ...]:
        found = place(self.path)
        (mode,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        if mode == "wal" and None in found:  # some file systems have no WAL
            raise LostStoreError(f"a file of {self.path} was deleted while it was opened")
        return found

    def guard(self, check: Callable[[], None]) -> None:
        """Have a function called before each transaction. It raises LostStoreError if the store must not be written."""
        self._guard = check

    @property
    def is_in_place(self) -> bool:
        """Whether the files at the store's path are still those that were opened. Somebody may have deleted or replaced them."""
        return place(self.path) == self._place

    @property
    def is_replaced(self) -> bool:
        """Whether another database is at the store's path."""
        return (found := place(self.path)[0]) is not None and found != self._place[0]

    def enlist(self, *participants: Participant) -> None:
        """Name everything that is written with each transaction, in the order in which it is written."""
        self._participants += participants

    def close(self) -> None:
        """Close the file. Nothing is pending outside a transaction."""
        self.connection.close()

    # -- named values --------------------------------------------------------------------------------------------------

    def meta(self, name: str, default: str = "") -> str:
        """Return a named value. Where there is none yet, store ``default``."""
        self.connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
        return read_meta(self.connection, name)

    def set_meta(self, name: str, value: str) -> None:
        """Store a named value."""
        write_meta(self.connection, name, value)

    # -- transactions --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, *, late: bool = False) -> Iterator[None]:
        """Commit everything that the block writes, with what the participants have gathered; or nothing.

        Args:
            late: whether the block begins to write with ``begin``, or only its participants write, at its end. Until then, others may
                write.
        """
        try:
            self._guard()
            if not late:
                self.begin()
            yield
            self.begin()
            for participant in self._participants:
                participant.flush()
            self.connection.execute("COMMIT")
            self._release()
        except BaseException:
            if self.connection.in_transaction:  # a full disk may have ended the transaction already
                self.connection.execute("ROLLBACK")
            self._release()
            self._after_commit.clear()
            for participant in self._participants:
                participant.discard()
            raise
        callbacks, self._after_commit = self._after_commit, []
        for callback in callbacks:
            callback()

    def begin(self) -> None:
        """Begin to write, if this transaction has not begun yet. From now on, nobody else can."""
        if not self.connection.in_transaction:
            if self._lock and not self._holds_lock:
                self._holds_lock = self._lock.acquire()
            self.connection.execute("BEGIN IMMEDIATE")

    def expect_bulk(self, lock: Lock | None = None) -> None:
        """Prepare for large transactions whose work can be repeated: the newest of them may be lost if the machine loses its power.

        Args:
            lock: held while something is written, by processes that write together. It is fairer than the lock of the file.
        """
        self._lock = lock
        for setting in ("synchronous = NORMAL", "wal_autocheckpoint = 4000", "cache_size = -12288"):
            self.connection.execute(f"PRAGMA {setting}")

    def _release(self) -> None:
        if self._lock and self._holds_lock:
            self._lock.release()
            self._holds_lock = False

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have a function called once the current transaction is on disk, and not at all if it fails."""
        self._after_commit.append(callback)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Undo only this part of a transaction if it fails, so that one bad event costs the others nothing."""
        marks = [participant.mark() for participant in self._participants]
        self.connection.execute("SAVEPOINT step")
        try:
            yield
        except Exception:
            if self.connection.in_transaction:  # a full disk may have ended the transaction already
                self.connection.execute("ROLLBACK TO step")
            for participant, mark in zip(self._participants, marks, strict=True):
                participant.rewind(mark)
            raise
        finally:
            if self.connection.in_transaction:
                self.connection.execute("RELEASE step")

    # -- forgetting ----------------------------------------------------------------------------------------------------

    def forget(self, before_ns: int) -> None:
        """Let every room delete what is older than a time, in Unix nanoseconds. Series keep their totals."""
        with self.transaction():
            self.set_meta("forgotten_before_ns", str(max(before_ns, int(self.meta("forgotten_before_ns", "0")))))
            for room in self._rooms:
                room.forget(self.connection, before_ns=before_ns, now_ns=self.now_ns())


def copy_to(source: sqlite3.Connection, target: Path) -> None:
    """Copy a store with SQLite's backup API, also while it is written to.

    Args:
        source: a connection to the store.
        target: the new file. Only its owner can read it.

    Raises:
        sqlite3.Error: the store cannot be read, or the file cannot be written.
        OSError: the file cannot be created.
    """
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read where nothing can be written


def place(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return the device and inode of a store's file, its WAL and its shared memory. None for one that does not exist."""
    return tuple(_identity(file) for file in files_of(path))


def files_of(path: Path) -> tuple[Path, Path, Path]:
    """Return the three files of a store: the database, its WAL and its shared memory."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
