"""Transcripts as a source: the files of a session, how far each was read, and what is new in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.sources import transcript_lines
from claude_hooks_otel.sources.batch import Batch
from claude_hooks_otel.sources.transcript_files import TranscriptFile, find_agents, find_main, read_lines
from claude_hooks_otel.sources.transcript_lines import AssistantLine, Line, UnreadableLineError, UserLine

# Lines in a batch. Each batch is one commit, and hook events are read between batches.
LINES_PER_BATCH: Final = 500
# How many calls may wait for their result at the same time. No session runs so many. An interrupted call would wait forever.
OPEN_CALLS: Final = 256


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """A line with facts.

    Attributes:
        line: the line.
        before_ns: the last time before the line in its file, in Unix nanoseconds. An account has no time of its own.
        inputs: the inputs of the calls whose results are in the line. The results do not repeat them.
    """

    line: Line
    before_ns: int
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A complete line that is not valid for its type. The reason never quotes the line."""

    reason: str


TranscriptItem = TranscriptLine | UnreadableLine | None
"""None stands for a line without facts."""


@dataclass(slots=True)
class Cursor:
    """How far a file was read.

    Attributes:
        inode: the file's inode.
        offset: how many bytes were read.
        last_ns: the last time before the offset, in Unix nanoseconds.
    """

    inode: int
    offset: int
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class _OpenCall:
    key: tuple[str, str]
    offset: int
    tool_input: Any


class TranscriptBatch(Batch[TranscriptItem]):
    """Some lines of one file.

    Attributes:
        file: the file.
        cursor: the cursor behind the lines that were read so far.
    """

    def __init__(self, file: TranscriptFile, cursor: Cursor, items: Iterator[TranscriptItem]) -> None:
        super().__init__(items)
        self.file = file
        self.cursor = cursor


class TranscriptSource:
    """Reads what is new in the transcripts of sessions.

    Args:
        connection: the store's connection.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursors: dict[tuple[str, str], Cursor] = {}
        # The calls whose results have not been read yet, by ``tool_use_id``, oldest first.
        self._open: dict[str, _OpenCall] = {}

    def files(self, session_id: str, hinted: str | None) -> Iterator[TranscriptFile]:
        """Yield the session's own transcript, if it exists, and those of its sub-agents.

        Args:
            session_id: the session.
            hinted: the path of the transcript, from a hook.
        """
        main = find_main(session_id, Path(hinted)) if hinted else None
        if main is None:
            return
        yield TranscriptFile(session_id, "", main)
        yield from find_agents(main)

    def batches(self, file: TranscriptFile) -> Iterator[TranscriptBatch]:
        """Yield what is new in a file in batches. Read each batch to its end before you take the next one."""
        try:
            status = file.path.stat()
        except OSError:
            return
        cursor = self._cursor(file, status.st_ino, status.st_size)
        if cursor.offset >= status.st_size:
            return
        lines = read_lines(file.path, cursor.offset)
        while (first := next(lines, None)) is not None:
            some = islice(chain([first], lines), LINES_PER_BATCH)
            yield TranscriptBatch(file, cursor, (self._item(file, cursor, raw, end) for raw, end in some))

    def advance(self, batch: TranscriptBatch) -> None:
        """Write how far the file was read, inside the transaction that holds its lines.

        The offset in the store lies before the first call without a result, so that after a restart the call is read again.
        """
        file, cursor = batch.file, batch.cursor
        open_offsets = (call.offset for call in self._open.values() if call.key == file.key)
        offset = min(open_offsets, default=cursor.offset)
        self._connection.execute(
            "INSERT OR REPLACE INTO transcript_cursor VALUES (?, ?, ?, ?, ?, ?)",
            (*file.key, str(file.path), cursor.inode, min(offset, cursor.offset), cursor.last_ns),
        )

    def rewind(self) -> None:
        """Go back to the cursors in the store, after a transaction was rolled back."""
        self._cursors.clear()
        self._open.clear()

    def _item(self, file: TranscriptFile, cursor: Cursor, raw: bytes, end: int) -> TranscriptItem:
        begin, cursor.offset = cursor.offset, end
        try:
            line = transcript_lines.parse(raw)
        except UnreadableLineError as error:
            return UnreadableLine(str(error))
        if line is None:
            return None
        before_ns, cursor.last_ns = cursor.last_ns, max(cursor.last_ns, line.timestamp)
        inputs: dict[str, Any] = {}
        if isinstance(line, AssistantLine):
            for call_id, _, tool_input in line.tool_uses:
                self._open[call_id] = _OpenCall(file.key, begin, tool_input)
            while len(self._open) > OPEN_CALLS:
                del self._open[next(iter(self._open))]
        elif isinstance(line, UserLine):
            for call_id, _ in line.tool_results:
                if (call := self._open.pop(call_id, None)) is not None:
                    inputs[call_id] = call.tool_input
        return TranscriptLine(line, before_ns, inputs)

    def _cursor(self, file: TranscriptFile, inode: int, size: int) -> Cursor:
        key = file.key
        cursor = self._cursors.get(key)
        if cursor is None:
            row = self._connection.execute(
                "SELECT inode, offset, last_ns FROM transcript_cursor WHERE session_id = ? AND agent_id = ?", key
            ).fetchone()
            cursor = self._cursors[key] = Cursor(*row) if row else Cursor(inode, 0)
        if cursor.inode != inode or cursor.offset > size:
            # Another file has the same name, and is read from its beginning. Facts that are known already change nothing.
            cursor.inode, cursor.offset = inode, 0
            self._open = {call_id: call for call_id, call in self._open.items() if call.key != key}
        return cursor
