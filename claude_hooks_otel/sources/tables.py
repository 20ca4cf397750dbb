"""The tables of the sources room: how far each transcript was read, the followed sessions, and counts of unknown things."""

from __future__ import annotations

import sqlite3
from typing import Final

from claude_hooks_otel.sources import unknown

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS transcript_cursor (
    session_id TEXT, agent_id TEXT, path TEXT, inode INTEGER, offset INTEGER, last_ns INTEGER, mark BLOB, furthest INTEGER,
    prompt_id TEXT,
    PRIMARY KEY (session_id, agent_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS imported_session (session_id TEXT PRIMARY KEY, is_paired INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followed_session (session_id TEXT PRIMARY KEY) WITHOUT ROWID;
{unknown.SCHEMA}
"""


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:  # noqa: ARG001 — every room has these
    """Delete the cursors of transcripts that end before ``before_ns``, and older counts of unknown things.

    If such a transcript grows again, it is read from its beginning. Lines older than ``before_ns`` are not counted.
    """
    connection.execute(
        "DELETE FROM transcript_cursor WHERE last_ns < ? AND session_id NOT IN (SELECT session_id FROM followed_session)",
        (before_ns,),
    )
    connection.execute("DELETE FROM drift WHERE last_ns < ?", (before_ns,))
