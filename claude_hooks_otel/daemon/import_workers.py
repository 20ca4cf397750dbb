"""Imports history in several processes: this one and its children. Each takes the next session that nobody has taken."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
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
    taken, lock = context.Value("q", 0), context.Lock()
    children = [_start(context, home, config, found, taken, lock) for _ in range(number - 1)]
    try:
        with closing(HistoryImport(home, config, lock=lock if children else None)) as reader:
            with closing(reader.read(_next_ones(found, taken))) as steps:
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


def _start(context: Any, home: Home, config: Config, found: Sequence[Transcripts], taken: Any, lock: Any) -> _Child:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(home, config, found, taken, lock, sender), daemon=True)
    process.start()
    sender.close()  # the child has it
    return _Child(process, receiver)


def _next_ones(found: Sequence[Transcripts], taken: Any) -> Iterator[Transcripts]:
    """Yield sessions that no other process has taken."""
    while True:
        with taken.get_lock():
            place, taken.value = taken.value, taken.value + 1
        if place >= len(found):
            return
        yield found[place]


def _work(home: Home, config: Config, found: Sequence[Transcripts], taken: Any, lock: Any, sender: Connection) -> None:
    """Read sessions in a child. Send how many bytes were read, and at the end the result, or the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent stops it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with closing(HistoryImport(home, config, lock=lock)) as reader:
            for step in reader.read(_next_ones(found, taken)):
                sender.send(step)
            sender.send(reader.result)
    except BrokenPipeError:
        return  # its parent was killed
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")


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
