"""The folders of the spool: a file is written in ``tmp/``, renamed into ``new/``, read, and deleted.

So no lock is needed, and no half-written file is read. Standard library only, because the SDK imports this module.
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

# How many unreadable files are kept for the user to look at.
BROKEN_KEPT = 1000

# Errors that are not about the file itself: too many open files, no memory.
_TEMPORARY = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))

_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Lost:
    """An event without its content: the disk was full when the hook ran."""

    name: str
    received_ns: int
    event: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is not an envelope."""

    name: str
    reason: str


Entry = Envelope | Lost | Broken


class Spool:
    """The spool in one folder.

    Args:
        root: the folder that holds ``tmp``, ``new`` and ``broken``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp"
        self.new = root / "new"
        self.broken = root / "broken"

    def write(self, event: str, headers: Mapping[str, str], payload: bytes) -> str:
        """Write one event into the spool, and return the file's name. When this returns, the daemon can read the event.

        Raises:
            OSError: the spool cannot be written.
        """
        name = f"{event}.sdk.{os.getpid()}.{time.time_ns()}.{next(_counter)}"
        content = Envelope(name, 0, event, headers, payload).encode()
        try:
            self._put(name, content)
        except FileNotFoundError:
            # mkdir sets the mode only of the last folder.
            for folder in (self.root.parent, self.root, self.tmp, self.new):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put(name, content)
        return name

    def _put(self, name: str, content: bytes) -> None:
        # Callers of the SDK wait for this, and pathlib takes as long as the writing.
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
        """Return the folder's modification time in nanoseconds, which changes with every file; 0 without a folder."""
        try:
            return self.new.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def take(self, limit: int) -> Iterator[Entry]:
        """Yield up to ``limit`` waiting entries, oldest first. They stay until ``done``.

        With more files than ``limit``, any of them are taken, so that memory does not grow with a backlog.

        Raises:
            OSError: this process cannot open any file at the moment.
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
            with open(f"{self.new}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 — pathlib takes longer than the reading
                content = file.read()
        except FileNotFoundError:
            return None  # another process has removed it
        except OSError as error:
            if error.errno in _TEMPORARY:
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
        """Delete entries whose content is in the store."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.new}/{name}")  # noqa: PTH108

    def set_aside(self, name: str) -> None:
        """Move an unreadable entry to ``broken/``. If that folder has BROKEN_KEPT files, delete the entry."""
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
        """Move files of killed writers from ``tmp/`` into ``new/``, and return how many there were.

        If the hook was killed after its last byte, nothing is lost. A half-written file is set aside later, as any unreadable file.
        """
        recovered = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self.tmp) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if now() - status.st_mtime > WRITER_GONE_AFTER:
                        # The inode's number keeps a second file with this name from replacing the first.
                        Path(entry.path).rename(self.new / f"{entry.name}.{status.st_ino}.recovered")
                        recovered += 1
        return recovered

    def depth(self, at_most: int = 100_000) -> int:
        """Return how many entries wait, at most ``at_most``."""
        try:
            with os.scandir(self.new) as entries:
                return sum(1 for _ in itertools.islice(entries, at_most))
        except FileNotFoundError:
            return 0
