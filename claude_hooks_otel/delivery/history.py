"""Delivery of imported history to custom exporters: the sums of half hours, as measurements with their own time.

An exporter gets closed parts (``series.aggregates``), which never change. Its cursor moves after it has accepted a batch. If the process is
killed in between, the next one sends the batch again under the same keys.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.series.aggregates import BUCKET, LIVE, close_part
from claude_hooks_otel.store.connection import read_meta, transaction

# Sums in a batch. A counter's sum is one measurement, a histogram's are as many as there were observations.
BATCH: Final = 5_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_START: Final = '[-1, "", "", 0, 0]'
_NEXT: Final = """
    SELECT bucket, metric, labels, part, step, value, count FROM aggregate
    WHERE (bucket, metric, labels, part, step) > (?, ?, ?, ?, ?) AND part > ? AND part <= ?
    ORDER BY bucket, metric, labels, part, step LIMIT ?
"""
# A row of ``_NEXT``.
Row = tuple[int, str, str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class HistoryCursor:
    """How far one exporter has got.

    Attributes:
        instance: a part of each measurement's key. It stays, even if the store's own id changes.
        sent_part: it has all parts up to this one.
        last_part: it gets the parts up to this one now.
        position: the key of the last row that it has of them.
    """

    instance: str
    sent_part: int
    last_part: int
    position: tuple[int, str, str, int, int]


def send_history(
    connection: sqlite3.Connection, name: str, exporter: CustomExporter, *, size: int = BATCH, again: bool = False
) -> Iterator[int]:
    """Send what an exporter does not have yet. Yield the number of measurements of each batch that it has accepted.

    Args:
        connection: the store's connection.
        name: the exporter's name in the configuration.
        exporter: the exporter, started.
        size: how many sums a batch has.
        again: whether everything is sent again, under the same keys.

    Raises:
        sqlite3.Error: the store cannot be written.
        Exception: what the exporter raises if it does not accept a batch. The next call goes on there.
    """
    with transaction(connection):
        last_part = close_part(connection)
        if again:
            connection.execute(
                "UPDATE history_cursor SET sent_part = ?, last_part = ?, position = ? WHERE exporter = ?",
                (LIVE, LIVE, _START, name),
            )
        new = (name, read_meta(connection, "instance_id"), LIVE, LIVE, _START)
        connection.execute("INSERT OR IGNORE INTO history_cursor VALUES (?, ?, ?, ?, ?)", new)
    known = {**read_declared(connection), **CATALOG}
    while (cursor := _read_cursor(connection, name)).sent_part < last_part:
        if cursor.last_part == cursor.sent_part:  # nothing is under way: take everything that is closed
            _move(connection, name, cursor.sent_part, last_part, _START)
            continue
        rows = connection.execute(_NEXT, (*cursor.position, cursor.sent_part, cursor.last_part, size)).fetchall()
        if not rows:
            _move(connection, name, cursor.last_part, cursor.last_part, _START)
            continue
        batch = [record for row in rows for record in _records(row, known, cursor.instance)]
        if batch:
            exporter.export_batch(batch)
        _move(connection, name, cursor.sent_part, cursor.last_part, json.dumps(rows[-1][:5]))
        yield len(batch)


def _read_cursor(connection: sqlite3.Connection, name: str) -> HistoryCursor:
    row = connection.execute(
        "SELECT instance, sent_part, last_part, position FROM history_cursor WHERE exporter = ?", (name,)
    ).fetchone()
    instance, sent_part, last_part, position = row
    return HistoryCursor(instance, sent_part, last_part, tuple(json.loads(position)))


def _move(connection: sqlite3.Connection, name: str, sent_part: int, last_part: int, position: str) -> None:
    with transaction(connection):
        connection.execute(
            "UPDATE history_cursor SET sent_part = ?, last_part = ?, position = ? WHERE exporter = ?",
            (sent_part, last_part, position, name),
        )


def _records(row: Row, known: Mapping[str, Metric], instance: str) -> Iterator[MetricRecord]:
    """Yield the measurements of one sum. They add up to it, and the observations of a histogram are equal but for the rounding."""
    bucket, name, text, part, step, value, count = row
    metric = known.get(name)
    if metric is None or not metric.common:
        return
    series = hashlib.blake2b(f"{name}\0{text}".encode("utf-8", "replace"), digest_size=9).hexdigest()
    key = f"{instance}:history:{part}:{bucket}:{series}:{step}"
    pieces = count if metric.kind is Kind.HISTOGRAM else 1
    labels, at = dict(json.loads(text)), _EPOCH + timedelta(microseconds=bucket * BUCKET // 1000)
    for number in range(pieces):
        amount = value // pieces + (number < value % pieces)
        exported = amount if metric.scale == 1 else amount / metric.scale
        yield MetricRecord(
            metric.prometheus_name, exported, at, labels, str(metric.kind), metric.unit, f"{key}:{number}"
        )
