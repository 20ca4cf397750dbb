"""The tables of the delivery room: what waits, what was accepted, and the state of each exporter."""

from __future__ import annotations

import sqlite3
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS exporter_state (
    signal TEXT, name TEXT, position INTEGER, description TEXT, accepted_ns INTEGER, error TEXT, dropped INTEGER,
    PRIMARY KEY (signal, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baseline (
    exporter TEXT, metric TEXT, labels TEXT, time_ns INTEGER, value INTEGER, buckets TEXT,
    PRIMARY KEY (exporter, metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delta_attempt (exporter TEXT PRIMARY KEY, time_ns INTEGER, points TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measurement_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT, labels TEXT, amount INTEGER, scale INTEGER, at_ns INTEGER, logged_ns INTEGER
);
CREATE TABLE IF NOT EXISTS exporter_cursor (exporter TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history_cursor (
    exporter TEXT PRIMARY KEY, instance TEXT, sent_part INTEGER, last_part INTEGER, position TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, exporter TEXT, signal TEXT, bytes INTEGER, queued_ns INTEGER, refusals INTEGER,
    body TEXT
);
CREATE INDEX IF NOT EXISTS outbox_by_exporter ON outbox (exporter, signal, refusals, seq, bytes, queued_ns);
CREATE TABLE IF NOT EXISTS dropped_item (signal TEXT, reason TEXT, items INTEGER, PRIMARY KEY (signal, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notification (
    id TEXT, channel TEXT, content TEXT, ends_ns INTEGER, state TEXT, tries INTEGER, error TEXT, PRIMARY KEY (id, channel)
) WITHOUT ROWID
"""


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:  # noqa: ARG001 — every room takes these
    """Delete old notifications. What else waits has its own limits (``outbox.trim``, ``MeasurementLog.trim``)."""
    connection.execute("DELETE FROM notification WHERE ends_ns < ?", (before_ns,))
