"""The tables of the traces room: the pending sessions, and the ids of written spans and log events."""

from __future__ import annotations

import sqlite3
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pending_session (
    session_id TEXT PRIMARY KEY, spans_since_ns INTEGER, events_since_ns INTEGER, is_new INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written_item (
    signal TEXT, id INTEGER, written_ns INTEGER, PRIMARY KEY (signal, id)
) WITHOUT ROWID
"""


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:  # noqa: ARG001 — every room has these
    """Delete the ids of what was written before ``before_ns``, and pending sessions that are no longer followed.

    A transcript line can name a session that never sends an event. Such a session is pending, but never followed.
    """
    connection.execute("DELETE FROM written_item WHERE written_ns < ?", (before_ns,))
    connection.execute("DELETE FROM pending_session WHERE session_id NOT IN (SELECT session_id FROM followed_session)")
