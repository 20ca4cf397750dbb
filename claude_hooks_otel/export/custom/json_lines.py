"""Measurements as JSON lines in a file: one object per line, appended, rotated by size."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord

# Bytes after which a file is rotated, and how many older files are kept.
DEFAULT_BYTES, DEFAULT_KEPT = 64 * 1024 * 1024, 5


class JsonLines(CustomExporter):
    """Appends to a file: ``key``, ``name``, ``value``, ``timestamp`` (RFC 3339, UTC), ``labels``, ``kind``, ``unit``.

    Args:
        path: the file. Older ones are ``path.1`` (the newest of them), ``path.2``, …
        max_bytes: size after which it is rotated.
        keep: how many older files are kept.

    Raises:
        ValueError: the size is not positive, or the number of files is negative.
    """

    def __init__(self, path: str, max_bytes: int = DEFAULT_BYTES, keep: int = DEFAULT_KEPT) -> None:
        if max_bytes <= 0 or keep < 0:
            raise ValueError("max_bytes has to be positive, keep at least 0")
        self._path, self._max_bytes, self._keep = Path(path).expanduser(), max_bytes, keep

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Append the batch whole or not at all: what a failed write left is cut off.

        Raises:
            OSError: the file cannot be written.
        """
        content = b"".join(_line(metric) for metric in batch)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._rotate(len(content))
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                content = b"\n" + content  # the torn line of a killed process stays alone
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

    def _rotate(self, coming: int) -> None:
        if (
            not self._path.exists()
            or self._path.stat().st_size == 0
            or self._path.stat().st_size + coming <= self._max_bytes
        ):
            return
        if self._keep == 0:
            self._path.unlink()
            return
        for number in range(self._keep - 1, 0, -1):
            older = Path(f"{self._path}.{number}")
            if older.exists():
                older.replace(f"{self._path}.{number + 1}")
        self._path.replace(f"{self._path}.1")


def _line(metric: MetricRecord) -> bytes:
    fields = {
        "key": metric.key, "name": metric.name, "value": metric.value, "timestamp": metric.timestamp.isoformat(),
        "labels": dict(metric.labels), "kind": metric.kind, "unit": metric.unit,
    }  # fmt: skip
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
