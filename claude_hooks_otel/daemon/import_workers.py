"""Imports history in several processes: this one and its children. Each takes the next session that nobody has taken."""

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.daemon.history import HistoryImport, ImportResult, Transcripts
from claude_hooks_otel.facts.pricing import load_prices
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config

# More processes wait for each other's writing.
MOST_PROCESSES: Final = 4
# A child is worth its start from so many bytes on.
BYTES_PER_PROCESS: Final = 4_000_000
# Objects that Python makes before it looks for garbage. Facts form no cycles.
_GARBAGE_AFTER: Final = 100_000


class ImportFailedError(RuntimeError):
    """A process of an import failed. What it had read is in the store."""


class FolderLock:
    """A lock on a folder, between processes. Unlike a semaphore, it is released when its holder dies, even by ``kill -9``.

    Each process opens the folder itself: a copy of a descriptor would share the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        if self._descriptor is None:
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Release it."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


@dataclass(frozen=True, slots=True)
class _Places:
    """The place of the next session in the list. Processes share it."""

    value: Any
    lock: FolderLock

    def next(self) -> int:
        """Return the next place, which no other process gets."""
        self.lock.acquire()
        try:
            place = int(self.value.value)
            self.value.value = place + 1
        finally:
            self.lock.release()
        return place


@dataclass(frozen=True, slots=True)
class _Child:
    process: BaseProcess
    messages: Connection


def run_import(
    home: Home,
    config: Config,
    found: Sequence[Transcripts],
    advance: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
) -> ImportResult:
    """Import sessions, and pair them.

    Args:
        home: the home.
        config: what the owner has set.
        found: the sessions.
        advance: called with the number of bytes that were read, again and again.
        processes: how many processes read; by default one for each processor, at most MOST_PROCESSES.

    Raises:
        sqlite3.Error: the store cannot be written.
        ImportFailedError: another process failed.
    """
    size = sum(each.size for each in found)
    wanted = processes or min(
        len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1, MOST_PROCESSES
    )
    number = max(1, min(wanted, size // BYTES_PER_PROCESS))
    # A copy of this process has everything in memory already. Other systems do not support it well.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    load_prices()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)
    HistoryImport(home, config).close()  # creates the store
    home.create()
    places = _Places(context.RawValue("q", 0), FolderLock(home.spool / "new"))
    lock = FolderLock(home.spool)
    children = [_start(context, home, config, found, places, lock) for _ in range(number - 1)]
    try:
        with closing(HistoryImport(home, config, lock=lock if children else None)) as reader:
            with closing(reader.read(_next_ones(found, places))) as steps:
                for step in steps:
                    advance(step)
                    _hear(children, reader.result, advance, wait=False)
            _hear(children, reader.result, advance, wait=True)
            reader.pair()
            return reader.result
    finally:
        for child in children:
            child.process.terminate()  # if it still runs, the import failed or was stopped
            child.process.join()
            child.messages.close()


def _start(
    context: Any, home: Home, config: Config, found: Sequence[Transcripts], places: _Places, lock: FolderLock
) -> _Child:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(home, config, found, places, lock, sender), daemon=True)
    process.start()
    sender.close()  # the child has it
    return _Child(process, receiver)


def _next_ones(found: Sequence[Transcripts], places: _Places) -> Iterator[Transcripts]:
    """Yield sessions that no other process has taken."""
    while (place := places.next()) < len(found):
        yield found[place]


def _work(
    home: Home, config: Config, found: Sequence[Transcripts], places: _Places, lock: FolderLock, sender: Connection
) -> None:
    """Read sessions in a child. Send how many bytes were read, and at the end the result, or the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent stops it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with closing(HistoryImport(home, config, lock=lock)) as reader:
            for step in reader.read(_next_ones(found, places)):
                sender.send(step)
            sender.send(reader.result)
    except BrokenPipeError:
        return  # its parent was killed
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """End this process when its parent is gone. What it had not committed is read again by the next import."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _hear(children: Sequence[_Child], result: ImportResult, advance: Callable[[int], None], *, wait: bool) -> None:
    """Receive what children have sent. With ``wait``, until all are done."""
    for child in children:
        while not child.messages.closed and (wait or child.messages.poll()):
            try:
                message = child.messages.recv()
            except EOFError:
                child.process.join()
                raise ImportFailedError(f"a process of the import ended with status {child.process.exitcode}") from None
            if isinstance(message, int):
                advance(message)
                continue
            child.messages.close()
            if isinstance(message, str):
                raise ImportFailedError(message)
            for field in fields(result):
                setattr(result, field.name, getattr(result, field.name) + getattr(message, field.name))
