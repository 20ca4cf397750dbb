"""Opens files that an event, a repository or a person names. Anything may be at such a path, and nobody may have to wait for it.

Only regular files are opened: opening a device can already act on it, and opening a FIFO waits. A *foreign* file is one that an event or a
repository names. It also has to belong to this user or to root, and a symbolic link to it has to have its name, so that a transcript or a
``config`` cannot stand for ``/etc/shadow``. A daemon of root reads every user's files: in a container, mounted files have other owners.

A network mount can hang. Nothing can end a system call that waits for it, so the daemon looks at folders of events by ``in_time``, which
waits in a thread of its own.

Standard library only, because the SDK imports this module.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, Final, TypeVar

# Files and folders of one folder tree that are looked at. A session has hundreds of sub-agents at most, a repository some thousand branches.
MOST_ENTRIES: Final = 20_000

# Seconds after which a file system counts as hanging, and how many calls may hang at the same time. Beyond that, no place is looked at.
ANSWER_TIMEOUT: Final = 2.0
MOST_HANGING: Final = 8

# Errors that are not about a file: too many open files, no memory.
_SHORTAGES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))

_T = TypeVar("_T")
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class ForeignFileError(OSError):
    """A path does not name a file that may be read. ``strerror`` says why, to be read after the path."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading. It never waits for a writer.

    Raises:
        ForeignFileError: there is something else.
        OSError: it is missing or not readable.
    """
    return _open(str(path), path)


def read_regular(path: Path, at_most: int) -> bytes:
    """Return the content of a regular file, or of a link to one.

    Args:
        path: the file.
        at_most: the largest size that is read, in bytes.

    Raises:
        ForeignFileError: the file is larger, or there is something else.
        OSError: it is missing or not readable.
    """
    with open_regular(path) as file:
        return _content(file, path, at_most)


def open_foreign(path: Path) -> BinaryIO:
    """Open a foreign file for reading. It never waits for a writer.

    Raises:
        ForeignFileError: it is not a regular file of this user or of root, or it is a link to a file of another name.
        OSError: it is missing or not readable.
    """
    target = _target(path)
    if target.name != path.name:
        raise ForeignFileError(errno.ELOOP, "is a link to a file of another name", str(path))
    file = _open(str(target), path, os.O_NOFOLLOW)
    if os.geteuid() not in (0, owner := os.fstat(file.fileno()).st_uid) and owner != 0:
        file.close()
        raise ForeignFileError(errno.EPERM, "belongs to another user", str(path))
    return file


def read_foreign(path: Path, at_most: int) -> bytes:
    """Return the content of a foreign file.

    Args:
        path: the file.
        at_most: the largest size that is read, in bytes.

    Raises:
        ForeignFileError: the file is larger, or may not be read (``open_foreign``).
        OSError: it is missing or not readable.
    """
    with open_foreign(path) as file:
        return _content(file, path, at_most)


def walk_foreign(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, also links to some. It looks at MOST_ENTRIES, and follows no links to folders."""
    left, folders = MOST_ENTRIES, [str(folder)]
    while folders and left:
        try:
            with os.scandir(folders.pop()) as entries:
                found = sorted(islice(entries, left), key=lambda entry: entry.name)
        except (OSError, ValueError):
            continue
        left -= len(found)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif _is_file(entry):
                yield Path(entry.path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a circle of links
        return False


def is_shortage(error: BaseException) -> bool:
    """Return whether an error is about this process, not about a file: it has too many open files or threads, or no memory."""
    if isinstance(error, RuntimeError):
        return "can't start new thread" in str(error)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGES)


@contextlib.contextmanager
def skipping_unreadable() -> Iterator[None]:
    """End the block silently if a file cannot be read. A shortage is still an error: the file is readable later."""
    try:
        yield
    except OSError as error:
        if is_shortage(error):
            raise


class _Helper(threading.Thread):
    """Runs functions one after the other, until it gets None instead of one."""

    def __init__(self) -> None:
        super().__init__(name="foreign-files", daemon=True)
        self.functions: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while function := self.functions.get():
            try:
                self.answers.put((function(), None))
            except BaseException as error:
                self.answers.put((None, error))


_helpers: list[_Helper] = []
_hanging: dict[str, _Helper] = {}


def in_time(place: str, function: Callable[[], _T], otherwise: _T) -> _T:
    """Return or raise what a function does that looks at files; ``otherwise`` if it takes longer than ANSWER_TIMEOUT.

    While a call for a place hangs, further calls for it return at once. For one thread only.

    Args:
        place: the path that may hang.
        function: looks at files below it.
        otherwise: what to return without an answer.
    """
    if _hanging:
        for known in [known for known, helper in _hanging.items() if not helper.is_alive()]:
            del _hanging[known]
        if place in _hanging or len(_hanging) >= MOST_HANGING:
            return otherwise
    helper = _helpers.pop() if _helpers else _Helper()
    helper.functions.put(function)
    try:
        result, error = helper.answers.get(timeout=ANSWER_TIMEOUT)
    except Empty:
        helper.functions.put(None)  # it ends as soon as the file system answers
        _hanging[place] = helper
        return otherwise
    _helpers.append(helper)
    if error is not None:
        raise error
    answer: _T = result
    return answer


def _target(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (ValueError, RuntimeError) as error:  # a NUL in the path, or a circle of links
        raise ForeignFileError(errno.EINVAL, str(error), str(path)) from None


def _open(target: str, path: Path, flags: int = 0) -> BinaryIO:
    try:
        _check(os.stat(target), path)  # noqa: PTH116 — before opening, because that can act on a device
        descriptor = os.open(target, _FLAGS | flags)
    except ValueError as error:  # a NUL in the path
        raise ForeignFileError(errno.EINVAL, str(error), str(path)) from None
    try:
        _check(os.fstat(descriptor), path)  # it may have been replaced meanwhile
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ForeignFileError(errno.EINVAL, "is not a regular file", str(path))


def _content(file: BinaryIO, path: Path, at_most: int) -> bytes:
    content = file.read(at_most + 1)
    if len(content) > at_most:
        raise ForeignFileError(errno.EFBIG, f"has more than {at_most} bytes", str(path))
    return content
