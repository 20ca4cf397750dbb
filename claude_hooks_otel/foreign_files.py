"""Opens files that an event or a repository names: anything may be at such a path, and nobody may have to wait for it.

A file is read only if it is a regular file of this user or of root. A daemon of root reads every user's files: in a container, mounted
files have other owners. A symbolic link is followed only to a file of the same name, so that a transcript or a ``config`` cannot stand for
``/etc/shadow``. Nothing but a regular file is ever opened, because opening a device can already act on it, and opening a FIFO waits.

Standard library only, because the SDK imports this module.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

# Files and folders of one folder tree that are looked at. A session has hundreds of sub-agents at most, a repository some thousand branches.
MOST_ENTRIES: Final = 20_000

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


class ForeignFileError(OSError):
    """A path does not name a file that may be read."""


def open_foreign(path: Path) -> BinaryIO:
    """Open a file for reading, without ever waiting for a writer.

    Raises:
        ForeignFileError: it is not a regular file of this user or of root, or a link to a file of another name.
        OSError: it is missing or not readable.
    """
    try:
        target = os.path.realpath(path, strict=True)
        if os.path.basename(target) != path.name:  # noqa: PTH119 — it is a string already
            raise ForeignFileError(errno.ELOOP, "is a link to a file of another name", str(path))
        _check(os.stat(target), path)  # noqa: PTH116 — it is a string already
        descriptor = os.open(target, _FLAGS)
    except ValueError as error:  # a NUL in the path
        raise ForeignFileError(errno.EINVAL, str(error), str(path)) from None
    try:
        _check(os.fstat(descriptor), path)  # again: it may have been replaced meanwhile
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_foreign(path: Path, at_most: int) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        at_most: the largest size that is read, in bytes.

    Raises:
        ForeignFileError: the file is larger, or may not be read (``open_foreign``).
        OSError: it is missing or not readable.
    """
    with open_foreign(path) as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise ForeignFileError(errno.EFBIG, f"has more than {at_most} bytes", str(path))
    return content


def walk_foreign(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, also links to some. It looks at MOST_ENTRIES, and follows no links to folders."""
    left, folders = MOST_ENTRIES, [str(folder)]
    while folders and left:
        try:
            with os.scandir(folders.pop()) as entries:
                found = sorted(islice(entries, left), key=lambda entry: entry.name)
        except OSError:
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


def _check(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ForeignFileError(errno.EINVAL, "is not a regular file", str(path))
    if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        raise ForeignFileError(errno.EPERM, "belongs to another user", str(path))
