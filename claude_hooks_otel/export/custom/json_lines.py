"""The JSON Lines exporter. It appends one object per measurement to a file, and rotates the file by size."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord

# The size in bytes at which a file is rotated, and the number of older files that are kept.
DEFAULT_BYTES, DEFAULT_KEPT = 64 * 1024 * 1024, 5
# Bytes that others may have appended since this exporter's last batch.
_TAIL = 1 << 20


class JsonLines(CustomExporter):
    """Appends objects with ``key``, ``name``, ``value``, ``timestamp`` (RFC 3339, UTC), ``labels``, ``kind`` and ``unit``.

    Args:
        path: the file. Older files are ``path.1`` (the newest of them), ``path.2`` and so on.
        max_bytes: the size at which the file is rotated.
        keep: how many older files are kept.

    Raises:
        ValueError: ``max_bytes`` is not positive, or ``keep`` is negative.
    """

    def __init__(self, path: str, max_bytes: int = DEFAULT_BYTES, keep: int = DEFAULT_KEPT) -> None:
        if max_bytes <= 0 or keep < 0:
            raise ValueError("max_bytes has to be positive, keep at least 0")
        self._path, self._max_bytes, self._keep = Path(path).expanduser(), max_bytes, keep
        self._has_written = False

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Append the whole batch, or nothing. If a write fails, the file is cut back to its size before.

        A process that was killed may have written its last batch already. So of the first batch, what the newest lines have is left out.

        Raises:
            OSError: the file cannot be written.
        """
        lines = [(metric.key, _line(metric)) for metric in batch]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._has_written:
            written = self._newest_keys(2 * sum(len(line) for _, line in lines) + _TAIL)
            lines = [(key, line) for key, line in lines if not key or key not in written]
        self._append(b"".join(line for _, line in lines))
        self._has_written = True

    def _append(self, content: bytes) -> None:
        descriptor = self._open(len(content))
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                content = b"\n" + content  # a killed process left half a line, which stays by itself
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _open(self, coming: int) -> int:
        """Return the file, locked, because the daemon and a command can write at the same time. Rotate it before if it is full."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                with contextlib.suppress(OSError):  # some file systems have no locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_current(descriptor):
                    size = os.fstat(descriptor).st_size
                    if size == 0 or size + coming <= self._max_bytes:
                        return descriptor
                    self._rotate()
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        """Return whether nobody has rotated the file before it was locked."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        if self._keep == 0:
            self._path.unlink()
            return
        for number in range(self._keep - 1, 0, -1):
            older = Path(f"{self._path}.{number}")
            if older.exists():
                older.replace(f"{self._path}.{number + 1}")
        self._path.replace(f"{self._path}.1")

    def _newest_keys(self, size: int) -> set[str]:
        """Return the keys in so many bytes at the end of the file, and of the one before."""
        found: set[str] = set()
        for path in (self._path, Path(f"{self._path}.1")):
            if not path.is_file():
                continue
            with contextlib.suppress(OSError), path.open("rb") as file:
                file.seek(-min(size, path.stat().st_size), os.SEEK_END)
                for line in file.read(size).splitlines():
                    with contextlib.suppress(ValueError, TypeError, KeyError):  # half a line
                        found.add(json.loads(line)["key"])
        return found


def _line(metric: MetricRecord) -> bytes:
    fields = {
        "key": metric.key, "name": metric.name, "value": metric.value, "timestamp": metric.timestamp.isoformat(),
        "labels": dict(metric.labels), "kind": metric.kind, "unit": metric.unit,
    }  # fmt: skip
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
