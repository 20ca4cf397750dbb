"""Transcripts as a source: the files of a session, how far each was read, and what is new in them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.foreign_files import in_time
from claude_hooks_otel.metrics.outcomes import Damage
from claude_hooks_otel.sources import transcript_lines
from claude_hooks_otel.sources.batch import Batch
from claude_hooks_otel.sources.call_ids import call_identity, is_random
from claude_hooks_otel.sources.transcript_files import (
    TranscriptFile,
    find_agents,
    find_main,
    fingerprint,
    is_too_long,
    read_lines,
)
from claude_hooks_otel.sources.transcript_lines import AssistantLine, CostStateLine, Line, UserLine

# Lines in a batch. Each batch is one commit, and hook events are read between batches.
LINES_PER_BATCH: Final = 500
# Bytes after which a batch ends.
BYTES_PER_BATCH: Final = 8 << 20
# How many calls may wait for their result at the same time. No session runs so many. An interrupted call would wait forever.
OPEN_CALLS: Final = 256
# Files of one session that are looked at for growth: those that have grown last.
FILES_PER_LOOK: Final = 16


@dataclass(slots=True)
class TranscriptLine:
    """A line with facts.

    Attributes:
        line: the line.
        before_ns: the last time before the line in its file, in Unix nanoseconds. An account has no time of its own.
        answer_id: what distinguishes an answer from others with the same message id: the request's id, or without one the ``uuid`` of
            the answer's first line. Empty if the line has neither, or is no answer.
        call_ids: the identity of each call in the line, by ``tool_use_id``. A copy of a call that has no identity here is left out.
        inputs: the inputs of the calls whose results are in the line, by ``tool_use_id``. The results do not repeat them.
    """

    line: Line
    before_ns: int
    answer_id: str
    call_ids: Mapping[str, str]
    inputs: Mapping[str, Any]


@dataclass(slots=True)
class TranscriptItem:
    """What was read from one line of a file.

    Attributes:
        lines: the records with facts: usually one or none, several if the line is damaged.
        damage: what is wrong with the line.
        details: the same in words, without any content.
        is_repeated: whether the line was read before, so that its damage is counted already.
    """

    lines: Sequence[TranscriptLine] = ()
    damage: tuple[Damage, ...] = ()
    details: tuple[str, ...] = ()
    is_repeated: bool = False


@dataclass(slots=True)
class Cursor:
    """How far a file was read.

    Attributes:
        inode: the file's inode.
        offset: how many bytes were read.
        last_ns: the last time before the offset, in Unix nanoseconds.
        mark: the fingerprint of the bytes before the offset. If it changes, the file was rewritten. Empty if it is unknown.
        furthest: the greatest offset so far. After a restart, some lines before it are read again.
        prompt_id: the prompt of the last line before the offset; empty if no line names one.
        modified_ns: the file's time of modification when it had been read to its end, in Unix nanoseconds; 0 if a part is unread.
        in_long_line: whether the offset is inside a line that is too long. After a restart, what is left of it is a line of its own.
    """

    inode: int
    offset: int
    last_ns: int = 0
    mark: bytes = b""
    furthest: int = 0
    prompt_id: str = ""
    modified_ns: int = 0
    in_long_line: bool = False


@dataclass(frozen=True, slots=True)
class _OpenCall:
    identity: str
    offset: int
    prompt_id: str
    tool_input: Any


@dataclass(frozen=True, slots=True)
class _Answer:
    """The newest answer of a file, if it has no request id. Each of its lines follows the one before it (``parentUuid``)."""

    message_id: str | None
    first_uuid: str
    last_uuid: str
    offset: int
    prompt_id: str


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
        until: returns the offset behind which nothing is read of a file; None for no limit. Session and agent name the file.

    Attributes:
        new_bytes: how many bytes were read for the first time.
    """

    def __init__(
        self, connection: sqlite3.Connection, until: Callable[[tuple[str, str]], int | None] = lambda _: None
    ) -> None:
        self.new_bytes = 0
        self._connection = connection
        self._until = until
        self._cursors: dict[tuple[str, str], Cursor] = {}
        # The calls whose results have not been read yet, by file and ``tool_use_id``, oldest first.
        self._open: dict[tuple[tuple[str, str], str], _OpenCall] = {}
        self._answers: dict[tuple[str, str], _Answer] = {}
        # The size of each file when it was read last, by session and path. The file that has grown last comes last.
        self._sizes: dict[str, dict[Path, int]] = {}
        self._advanced: dict[tuple[str, str], tuple[Any, ...]] = {}

    def files(self, session_id: str, hinted: str | None) -> list[TranscriptFile] | None:
        """Return the session's own transcript, if it exists, and those of its sub-agents; None while their file system hangs.

        Args:
            session_id: the session.
            hinted: the path of the transcript, from a hook.
        """
        return in_time(hinted, partial(_files, session_id, Path(hinted)), None) if hinted else []

    def batches(self, file: TranscriptFile) -> Iterator[TranscriptBatch]:
        """Yield what is new in a file in batches. Read each batch to its end before you take the next one."""
        try:
            status = file.path.stat()
        except OSError:
            return
        cursor, size = self._cursor(file, status), status.st_size
        if cursor.offset < size:
            cursor.modified_ns = 0
            behind = self._until(file.key)
            lines = read_lines(file.path, cursor.offset, in_long_line=cursor.in_long_line)
            if behind is not None:
                lines = takewhile(lambda line: line[1] <= behind, lines)
            while (first := next(lines, None)) is not None:
                some = _bounded(chain([first], lines), cursor.offset)
                yield TranscriptBatch(file, cursor, (self._item(file, cursor, raw, end) for raw, end in some))
        with suppress(OSError):
            status = file.path.stat()
            cursor.modified_ns = status.st_mtime_ns if status.st_size == cursor.offset else 0
        self._note_size(file, size)

    def _note_size(self, file: TranscriptFile, size: int) -> None:
        sizes = self._sizes.setdefault(file.session_id, {})
        if sizes.get(file.path) != size:
            sizes.pop(file.path, None)
            sizes[file.path] = size

    def grown(self, session_ids: Iterable[str]) -> list[str]:
        """Return the sessions of which a file has changed its size since it was read last. It may be half a line.

        Files that were never read do not count.
        """
        found: list[str] = []
        for session_id in session_ids:
            sizes = list(self._sizes.get(session_id, {}).items())[-FILES_PER_LOOK:]
            if not sizes:
                continue
            has_grown: bool = in_time(str(sizes[0][0].parent), partial(_has_grown, sizes), otherwise=False)
            if has_grown:
                found.append(session_id)
        return found

    def advance(self, batch: TranscriptBatch) -> None:
        """Note how far the file was read. It is written with the transaction that holds its lines.

        The offset in the store lies before the first call without a result, and before the newest answer if that has no request id. So
        after a restart, the call and the answer are read from their beginning.
        """
        file, cursor = batch.file, batch.cursor
        cursor.mark = fingerprint(file.path, cursor.offset)
        places = [(call.offset, call.prompt_id) for (key, _), call in self._open.items() if key == file.key]
        if answer := self._answers.get(file.key):
            places.append((answer.offset, answer.prompt_id))
        offset, prompt_id = min([*places, (cursor.offset, cursor.prompt_id)])
        mark = cursor.mark if offset == cursor.offset else fingerprint(file.path, offset)
        self._advanced[file.key] = (
            *file.key, str(file.path), cursor.inode, offset, cursor.last_ns, mark, cursor.furthest, prompt_id
        )  # fmt: skip

    def forget(self) -> None:
        """Forget what is in memory. The next batches begin at the cursors in the store."""
        self._cursors.clear()
        self._open.clear()
        self._answers.clear()
        self._sizes.clear()

    # -- a participant of the store's transactions ---------------------------------------------------------------------

    def mark(self) -> int:
        """Return a dummy mark: a step reads a line that has been taken from the file."""
        return 0

    def rewind(self, mark: int) -> None:
        """Do nothing; see ``mark``."""

    def discard(self) -> None:
        """Go back to the cursors in the store, after a transaction was rolled back."""
        self._advanced.clear()
        self.forget()

    def flush(self) -> None:
        """Write how far the files were read."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO transcript_cursor VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(self._advanced.values())
        )
        self._advanced.clear()

    def _item(self, file: TranscriptFile, cursor: Cursor, raw: bytes | None, end: int) -> TranscriptItem:
        begin, cursor.offset = cursor.offset, end
        is_repeated = end <= cursor.furthest
        self.new_bytes += max(0, end - cursor.furthest)
        cursor.furthest = max(end, cursor.furthest)
        is_next_part, cursor.in_long_line = cursor.in_long_line, raw is None
        if raw is None or is_too_long(raw):
            return TranscriptItem(damage=() if is_next_part else (Damage.TOO_LONG,), is_repeated=is_repeated)
        parsed = transcript_lines.parse(raw)
        lines = [self._line(file, cursor, line, begin) for line in parsed.records]
        return TranscriptItem(lines, parsed.damage, parsed.details, is_repeated)

    def _line(self, file: TranscriptFile, cursor: Cursor, line: Line, begin: int) -> TranscriptLine:
        before_ns = cursor.last_ns
        if not line.timestamp and not isinstance(line, CostStateLine):
            line.timestamp = before_ns  # its own time is damaged
        cursor.last_ns = max(before_ns, line.timestamp)
        call_ids: dict[str, str] = {}
        inputs: dict[str, Any] = {}
        answer_id = ""
        if isinstance(line, AssistantLine):
            answer_id = self._answer_id(file.key, cursor, line, begin)
            call_ids = self._begin_calls(file.key, cursor, line, begin)
        elif isinstance(line, UserLine):
            if line.prompt_id and line.hooks_name_prompts:
                cursor.prompt_id = line.prompt_id
            for call_id, _ in line.tool_results:
                if (call := self._open.pop((file.key, call_id), None)) is not None:
                    call_ids[call_id], inputs[call_id] = call.identity, call.tool_input
                elif is_random(call_id):
                    call_ids[call_id] = call_id
        return TranscriptLine(line, before_ns, answer_id, call_ids, inputs)

    def _begin_calls(self, key: tuple[str, str], cursor: Cursor, line: AssistantLine, begin: int) -> dict[str, str]:
        """Return the identities of an answer's calls. The calls of a copied answer have one only if their ids are random."""
        is_copy = line.request_session_id not in (None, line.session_id)
        call_ids: dict[str, str] = {}
        for call_id, _, tool_input in line.tool_uses:
            if is_copy and not is_random(call_id):
                continue
            identity = call_ids[call_id] = call_identity(call_id, line.session_id, cursor.prompt_id, key[1])
            self._open[key, call_id] = _OpenCall(identity, begin, cursor.prompt_id, tool_input)
        while len(self._open) > OPEN_CALLS:
            del self._open[next(iter(self._open))]
        return call_ids

    def _answer_id(self, key: tuple[str, str], cursor: Cursor, line: AssistantLine, begin: int) -> str:
        if line.request_id or line.uuid is None:
            self._answers.pop(key, None)
            return line.request_id or ""
        answer = self._answers.get(key)
        if answer and line.parent_uuid == answer.last_uuid and line.message.id == answer.message_id:
            answer = replace(answer, last_uuid=line.uuid)
        else:
            answer = _Answer(line.message.id, line.uuid, line.uuid, begin, cursor.prompt_id)
        self._answers[key] = answer
        return answer.first_uuid

    def _cursor(self, file: TranscriptFile, status: os.stat_result) -> Cursor:
        key = file.key
        cursor = self._cursors.get(key)
        if cursor is None:
            row = self._connection.execute(
                "SELECT inode, offset, last_ns, COALESCE(mark, x''), COALESCE(furthest, 0), COALESCE(prompt_id, '') FROM transcript_cursor "
                "WHERE session_id = ? AND agent_id = ?",
                key,
            ).fetchone()
            cursor = self._cursors[key] = Cursor(*row) if row else Cursor(status.st_ino, 0)
        if _is_rewritten(file.path, cursor, status):
            # The file is read from its beginning. Facts that are known already change nothing.
            cursor = self._cursors[key] = Cursor(status.st_ino, 0, cursor.last_ns)
            self._answers.pop(key, None)
            self._open = {place: call for place, call in self._open.items() if place[0] != key}
        return cursor


def _files(session_id: str, hinted: Path) -> list[TranscriptFile]:
    main = find_main(session_id, hinted)
    return [] if main is None else [TranscriptFile(session_id, "", main), *find_agents(main)]


def _has_grown(sizes: list[tuple[Path, int]]) -> bool:
    for path, size in sizes:
        with suppress(OSError):
            if path.stat().st_size != size:
                return True
    return False


def _bounded(lines: Iterator[tuple[bytes | None, int]], begin: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield the lines of one batch, which begins at an offset."""
    for raw, end in islice(lines, LINES_PER_BATCH):
        yield raw, end
        if end - begin >= BYTES_PER_BATCH:
            return


def _is_rewritten(path: Path, cursor: Cursor, status: os.stat_result) -> bool:
    """Return whether a file is another one than before, or has changed before the cursor."""
    if cursor.inode != status.st_ino or cursor.offset > status.st_size:
        return True
    if cursor.modified_ns == status.st_mtime_ns:
        return False
    same_size = bool(cursor.modified_ns) and cursor.offset == status.st_size
    return same_size or (bool(cursor.mark) and fingerprint(path, cursor.offset) != cursor.mark)
