"""Where the exporter ``console`` writes: a file in the home. A daemon that a hook starts has no terminal."""

from __future__ import annotations

import io
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

# Bytes after which the file begins again. One older file is kept.
MAX_BYTES: Final = 10_000_000


class ConsoleFile(io.TextIOBase):
    """A text stream that ends in a file of limited size. Several threads may write.

    Args:
        path: the file. It is made with the first write, and only its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)
        self._handler = _Handler(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True)

    def write(self, text: str) -> int:
        """Write whole lines.

        Raises:
            OSError: the file cannot be written.
        """
        self._path.touch(mode=0o600, exist_ok=True)
        for line in text.splitlines():
            self._handler.handle(logging.makeLogRecord({"msg": line}))
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
        super().close()


class _Handler(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 — the name and arguments are logging's
        """Let the error through: what is not written is not accepted."""
        raise  # noqa: PLE0704 — the base class calls this in its except block
