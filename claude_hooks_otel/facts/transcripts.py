"""Follows the transcripts of a session: which files there are, how far each was read, and what is new in them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_transcripts import TranscriptWitness
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.sources import transcript_lines
from claude_hooks_otel.sources.transcript_files import (
    TranscriptFile,
    find_agents,
    find_main,
    read_agent_meta,
    read_lines,
)

# Lines a transaction holds: large enough to pay for its commit, small enough to let hook events in between.
LINES_PER_TRANSACTION = 500

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Cursor:
    inode: int
    offset: int
    last_ns: int = 0  # the last time that stands before the offset: a cost-state has none of its own
    # Calls whose result has not been read → where they begin: a restart reads on from the earliest, so that the two meet again.
    open_calls: dict[str, int] = field(default_factory=dict)


class TranscriptFollower:
    """Reads on wherever a session's transcripts have grown.

    Args:
        store: the facts' store; every batch of lines is one transaction together with how far it was read.
        witness: reads the lines.
    """

    def __init__(self, store: Store, witness: TranscriptWitness) -> None:
        self._store = store
        self._witness = witness
        self._cursors: dict[tuple[str, str], _Cursor] = {}

    def follow(self, session: model.Session) -> Iterator[int]:
        """Reads what is new, one batch at a time; yields the number of lines of each batch.

        Each batch must run in a transaction: begin one before asking for the next item.
        """
        if not session.transcript_path:
            return
        main = find_main(session.session_id, Path(session.transcript_path))
        if main is None:
            return
        yield from self._follow_file(TranscriptFile(session.session_id, "", main), None)
        for file in find_agents(main):
            yield from self._follow_file(file, self._agent_type(file))

    def _agent_type(self, file: TranscriptFile) -> str | None:
        known = self._store.get(model.Subagent, file.agent_id)
        if known is not None and known.in_transcript and known.agent_type:
            return known.agent_type
        meta = read_agent_meta(file.path)
        identity = self._store.identity_at(file.session_id, 0)
        self._store.upsert(
            model.Subagent(
                agent_id=file.agent_id,
                session_id=file.session_id,
                agent_type=meta.agent_type if meta else None,
                tool_use_id=meta.tool_use_id if meta else None,
                parent_agent_id=meta.parent_agent_id if meta else None,
                in_transcript=1,
                agent=identity.agent if identity else None,
                project=identity.project if identity else None,
                team=identity.team if identity else None,
                sprint=identity.sprint if identity else None,
            )
        )
        return (meta.agent_type if meta else None) or (known.agent_type if known else None)

    def _follow_file(self, file: TranscriptFile, agent_type: str | None) -> Iterator[int]:
        try:
            status = file.path.stat()
        except OSError:
            return
        cursor = self._cursor(file, status.st_ino, status.st_size)
        if cursor.offset >= status.st_size:
            return
        count = 0
        try:
            for line, end in read_lines(file.path, cursor.offset):
                self._read_line(line, cursor, file, agent_type)
                cursor.offset = end
                count += 1
                if count == LINES_PER_TRANSACTION:
                    self._save(file, cursor)
                    yield count
                    count = 0
        except OSError:
            pass  # it was moved or removed while it was read: the next look finds it, or nothing
        if count:
            self._save(file, cursor)
            yield count

    def _read_line(self, raw: bytes, cursor: _Cursor, file: TranscriptFile, agent_type: str | None) -> None:
        try:
            line = transcript_lines.parse(raw)
        except transcript_lines.UnreadableLineError as error:
            self._store.note_drift("transcript", str(error)[:128])
            return
        if line is None:
            return
        try:
            with self._store.step():
                self._witness.read(line, file.agent_id, agent_type, cursor.last_ns)
        except sqlite3.Error:
            raise  # the store's trouble, not the line's
        except Exception:
            _log.exception("a %s line of session %s could not be taken in", line.type, file.session_id)
            self._store.note_drift("transcript", f"{line.type}: error")
            return
        cursor.last_ns = max(cursor.last_ns, line.timestamp)
        if isinstance(line, transcript_lines.AssistantLine):
            for block in line.message.blocks("tool_use"):
                cursor.open_calls[str(block.get("id"))] = cursor.offset

    def _cursor(self, file: TranscriptFile, inode: int, size: int) -> _Cursor:
        key = (file.session_id, file.agent_id)
        cursor = self._cursors.get(key)
        if cursor is None:
            row = self._store.connection.execute(
                "SELECT inode, offset, last_ns FROM transcript WHERE session_id = ? AND agent_id = ?", key
            ).fetchone()
            cursor = self._cursors[key] = _Cursor(*row) if row else _Cursor(inode, 0)
        if cursor.inode != inode or cursor.offset > size:
            cursor.inode, cursor.offset, cursor.open_calls = (
                inode,
                0,
                {},
            )  # another file under the same name: known facts change nothing
        return cursor

    def _save(self, file: TranscriptFile, cursor: _Cursor) -> None:
        cursor.open_calls = {call: at for call, at in cursor.open_calls.items() if self._witness.is_open(call)}
        resume_at = min(cursor.open_calls.values(), default=cursor.offset)
        self._store.connection.execute(
            "INSERT OR REPLACE INTO transcript VALUES (?, ?, ?, ?, ?, ?)",
            (
                file.session_id,
                file.agent_id,
                str(file.path),
                cursor.inode,
                min(resume_at, cursor.offset),
                cursor.last_ns,
            ),
        )

    def forget(self) -> None:
        """Drops what is remembered of offsets: after a transaction that did not happen."""
        self._cursors.clear()
