"""The folder protocol of the spool: write in ``tmp/``, rename into ``new/``, read, delete. No lock, no torn record.

Standard library only: the SDK imports this module.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from claude_hooks_otel.sources.envelope import Envelope, EnvelopeError, decode
from claude_hooks_otel.timeline import WRITER_GONE_AFTER

# How many files that nobody could read are kept for their owner to look at.
BROKEN_KEPT = 1000

# Failures that say nothing about the file: too many open files, no memory.
_PASSING = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))

_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Lost:
    """An event whose content could not be written: the disk was full when the hook ran."""

    name: str
    received_ns: int
    event: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is no envelope."""

    name: str
    reason: str


Entry = Envelope | Lost | Broken


class Spool:
    """The spool below one folder.

    Args:
        root: the folder that holds ``tmp``, ``new`` and ``broken``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp"
        self.new = root / "new"
        self.broken = root / "broken"

    def write(self, event: str, headers: Mapping[str, str], payload: bytes) -> str:
        """Puts one event into the spool and returns its name; it is on its way once this returns.

        Raises:
            OSError: the spool cannot be written.
        """
        name = f"{event}.sdk.{os.getpid()}.{time.time_ns()}.{next(_counter)}"
        content = Envelope(name, 0, event, headers, payload).encode()
        try:
            self._put(name, content)
        except FileNotFoundError:
            for folder in (
                self.root.parent,
                self.root,
                self.tmp,
                self.new,
            ):  # mkdir's mode is for the last folder alone
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put(name, content)
        return name

    def _put(self, name: str, content: bytes) -> None:
        # pathlib costs as much as the writing, and the SDK's callers wait for this.
        path = f"{self.tmp}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
            os.rename(path, f"{self.new}/{name}")  # noqa: PTH104
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108
            raise

    def changed(self) -> int:
        """A number that changes whenever a file arrives or goes (the folder's modification time, ns); 0 without a folder."""
        try:
            return self.new.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def take(self, limit: int) -> Iterator[Entry]:
        """Reads up to ``limit`` waiting entries one by one, oldest first among those; they stay until ``done``.

        A bounded slice of the folder, so that memory does not grow with a backlog.

        Raises:
            OSError: this process can open no file at the moment.
        """
        found: list[tuple[int, str]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.new) as entries:
            files = (entry for entry in entries if entry.is_file(follow_symlinks=False))
            for entry in itertools.islice(files, limit):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
        found.sort()
        for received_ns, name in found:
            if (read := self._read(name, received_ns)) is not None:
                yield read

    def _read(self, name: str, received_ns: int) -> Entry | None:
        try:
            with open(f"{self.new}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 — pathlib costs more than the reading
                content = file.read()
        except FileNotFoundError:
            return None  # somebody tidied up
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return Broken(name, error.strerror or type(error).__name__)
        if not content:
            event, _, rest = name.partition(".")
            return Lost(name, received_ns, event, rest.partition(".")[0])
        try:
            return decode(name, received_ns, content)
        except EnvelopeError as error:
            return Broken(name, str(error))

    def done(self, names: Iterable[str]) -> None:
        """Deletes entries whose content is in the store."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.new}/{name}")  # noqa: PTH108

    def set_aside(self, name: str) -> None:
        """Moves an entry that nobody can read to ``broken/``; beyond BROKEN_KEPT files it is deleted."""
        self.broken.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(1 for _ in itertools.islice(self.broken.iterdir(), BROKEN_KEPT)) >= BROKEN_KEPT:
            self.done([name])
            return
        try:
            (self.new / name).rename(self.broken / name)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.done([name])

    def recover(self, now: Callable[[], float] = time.time) -> int:
        """Moves what killed writers left in ``tmp/`` into ``new/``, where its content decides; returns how many there were.

        A hook that was killed after its last byte loses nothing this way; a torn one is set aside like anything unreadable.
        """
        recovered = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self.tmp) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if now() - status.st_mtime > WRITER_GONE_AFTER:
                        # The inode's number: a second file of the same name must not replace the first.
                        Path(entry.path).rename(self.new / f"{entry.name}.{status.st_ino}.recovered")
                        recovered += 1
        return recovered

    def depth(self, at_most: int = 100_000) -> int:
        """How many entries wait, counted up to ``at_most``."""
        try:
            with os.scandir(self.new) as entries:
                return sum(1 for _ in itertools.islice(entries, at_most))
        except FileNotFoundError:
            return 0
