"""The tables of the sources room: how far each transcript was read, which sessions are followed, and what was unknown."""

from __future__ import annotations

import sqlite3
from typing import Final

from claude_hooks_otel.sources import unknown

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS transcript_cursor (
    session_id TEXT, agent_id TEXT, path TEXT, inode INTEGER, offset INTEGER, last_ns INTEGER,
    PRIMARY KEY (session_id, agent_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followed_session (session_id TEXT PRIMARY KEY) WITHOUT ROWID;
{unknown.SCHEMA}
"""


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:  # noqa: ARG001 — every room has these
    """Delete the cursors of transcripts that end before a time, and what was unknown before it.

    A transcript that grows again is read from its beginning: lines of a forgotten time count nothing.
    """
    connection.execute(
        "DELETE FROM transcript_cursor WHERE last_ns < ? AND session_id NOT IN (SELECT session_id FROM followed_session)",
        (before_ns,),
    )
    connection.execute("DELETE FROM drift WHERE last_ns < ?", (before_ns,))
