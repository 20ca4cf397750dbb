"""The intake: from the spool and the transcripts to facts, each step in one transaction.

Both sources are read the same way: read the items of a batch, then advance the source, both in one transaction (``sources.batch``). If
the daemon is killed at any instruction, the next one repeats some work. Repeated work changes nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.foreign_files import is_shortage
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.outcomes import Damage
from claude_hooks_otel.sources.captured import (
    EVENTS_PER_BATCH,
    CapturedEvent,
    CapturedRecord,
    CapturedStatus,
    SpoolBatch,
    Unreadable,
)
from claude_hooks_otel.sources.registration import REGISTERED
from claude_hooks_otel.sources.transcripts import TranscriptBatch, TranscriptLine

if TYPE_CHECKING:
    from claude_hooks_otel.facts.from_hooks import HookReader
    from claude_hooks_otel.facts.from_programs import ProgramReader
    from claude_hooks_otel.facts.from_status_lines import StatusReader
    from claude_hooks_otel.facts.from_transcripts import TranscriptReader
    from claude_hooks_otel.facts.pairing import Pairing
    from claude_hooks_otel.facts.repository import Facts
    from claude_hooks_otel.series.totals import SeriesTotals
    from claude_hooks_otel.sources.captured import SpoolSource
    from claude_hooks_otel.sources.followed_sessions import FollowedSessions
    from claude_hooks_otel.sources.transcript_files import TranscriptFile
    from claude_hooks_otel.sources.transcripts import TranscriptSource
    from claude_hooks_otel.sources.unknown import Unknowns
    from claude_hooks_otel.traces.writer import TraceWriter

# Bytes of a transcript and of all transcripts of a session that are read in one look. The rest is read in the next look, and hook events
# are read in between.
BYTES_PER_LOOK: Final = 16 << 20
SESSION_BYTES_PER_LOOK: Final = 64 << 20

_log = logging.getLogger(__name__)


class Intake:
    """Reads captured events, and follows the sessions.

    Args:
        facts: where everything goes.
        totals: count the events themselves.
        unknowns: counts lines that cannot be read.
        spool: what hooks and programs have captured.
        hooks: reads hook events.
        programs: reads program records.
        statuses: reads what status lines report.
        followed: the sessions whose transcripts are followed.
        transcripts: their transcripts.
        lines: reads transcript lines.
        pairing: pairs starts with ends.
        writer: writes spans and log events; None if no exporter wants any.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        totals: SeriesTotals,
        unknowns: Unknowns,
        spool: SpoolSource,
        hooks: HookReader,
        programs: ProgramReader,
        statuses: StatusReader,
        followed: FollowedSessions,
        transcripts: TranscriptSource,
        lines: TranscriptReader,
        pairing: Pairing,
        writer: TraceWriter | None,
    ) -> None:
        self._facts = facts
        self._store = facts.store
        self._totals = totals
        self._unknowns = unknowns
        self._spool = spool
        self._hooks = hooks
        self._programs = programs
        self._statuses = statuses
        self._followed = followed
        self._transcripts = transcripts
        self._lines = lines
        self._pairing = pairing
        self._writer = writer
        self._behind: set[str] = set()  # the sessions of which the last round has left a part

    @property
    def has_live_sessions(self) -> bool:
        """Whether any session is still followed: it has not ended, or ended moments ago."""
        return bool(self._followed)

    @property
    def is_behind(self) -> bool:
        """Whether the last round has left a part of a transcript: it is long, or its file system hangs."""
        return bool(self._behind)

    def forget(self, before_ns: int) -> None:
        """Forget what is older than a time, Unix nanoseconds, in the store and in memory."""
        self._store.forget(before_ns)
        self._hooks.rewind()
        self._transcripts.forget()
        self._facts.identities.discard()

    # -- the spool -----------------------------------------------------------------------------------------------------

    def take_events(self, limit: int = EVENTS_PER_BATCH) -> int:
        """Read up to ``limit`` waiting files of the spool. Return how many there were.

        Raises:
            sqlite3.Error: the store cannot be written. The files stay in the spool.
        """
        try:
            return self._take(self._spool.batch(limit))
        except sqlite3.Error:
            raise  # the store failed, not an event
        except Exception:
            _log.exception("an event cannot be read; the events of its batch are read one by one")
        return sum(self._take_or_reject(batch) for batch in self._spool.single_batches(limit))

    def _take(self, batch: SpoolBatch) -> int:
        heard: set[str] = set()
        try:
            with self._store.transaction():
                for item in batch.items:
                    if isinstance(item, CapturedEvent):
                        if self._take_event(item):
                            heard.add(item.event.session_id)
                    elif isinstance(item, CapturedRecord):
                        self._programs.read(item)
                        self._totals.add(catalog.HOOK_EVENTS, (("event", item.envelope.event),), 1)
                    elif isinstance(item, CapturedStatus):
                        self._statuses.read(item)
                    else:
                        self._count_unreadable(item)
                self._hooks.flush()
                self._followed.hear(heard, self._store.now_ns())
                self._spool.advance(batch)
        except BaseException:
            self._hooks.rewind()
            raise
        return batch.count

    def _take_event(self, captured: CapturedEvent) -> bool:
        """Take in one hook event. Return False for a copy."""
        if not self._hooks.read(captured):
            return False
        name = captured.event.hook_event_name
        self._followed.note_event(captured.event.session_id, name, captured.event.agent_id)
        self._totals.add(catalog.HOOK_EVENTS, (("event", name if name in REGISTERED else "other"),), 1)
        return True

    def _take_or_reject(self, batch: SpoolBatch) -> int:
        try:
            return self._take(batch)
        except sqlite3.Error:
            raise
        except Exception as error:
            if is_shortage(error):
                _log.warning("an event stays in the spool for now: %s", type(error).__name__)
                return 0
            _log.exception("an event was set aside")
        with self._store.transaction():
            self.count_dropped("error")
        self._spool.reject(batch)
        return batch.count

    def _count_unreadable(self, item: Unreadable) -> None:
        if item.reason is None:
            self.count_dropped("spool_full")
        else:
            _log.warning("%s was set aside: %s", item.name, item.reason)
            self.count_dropped("unreadable")

    def count_dropped(self, reason: str, number: int = 1) -> None:
        """Count events or records that cannot be used. The caller holds the transaction."""
        self._totals.add(catalog.HOOK_EVENTS_DROPPED, (("reason", reason),), number)

    # -- the transcripts -----------------------------------------------------------------------------------------------

    def follow_again(self, session_ids: Iterable[str]) -> None:
        """Follow sessions as if something of them had arrived. The caller holds the transaction."""
        self._followed.hear(session_ids, self._store.now_ns())

    def has_growth(self) -> bool:
        """Look at the transcripts of working sessions. Return whether any has grown. The next round reads it.

        No hook reports that a tool begins, so the transcript is the only one to show it, also a minute after the last event.
        """
        working = self._followed.working(self._store.now_ns())
        grown = self._transcripts.grown(working) if working else []
        for session_id in grown:
            self._followed.expect(session_id)
        return bool(grown)

    def follow_sessions(self, *, everything: bool = False, pair_now: bool = False) -> int:
        """Read on in the transcripts of the sessions that are next, and pair them. Return how many lines were new.

        Args:
            everything: read every session now, even if it was read a moment ago.
            pair_now: pair without waiting until the sessions are silent.
        """
        now_ns = self._store.now_ns()
        lines = 0
        self._behind.clear()
        for session_id in self._followed.next_ones(now_ns, everything=everything):
            try:
                lines += self._follow(session_id, now_ns, pair_now=pair_now)
            except sqlite3.Error:
                raise  # the store failed, not a session
            except Exception as error:
                if is_shortage(error):
                    raise
                _log.exception("session %s cannot be followed", session_id)
                if self._followed.is_silent(session_id, now_ns):
                    with self._store.transaction():
                        self._followed.stop(session_id)
        return lines

    def _follow(self, session_id: str, now_ns: int, *, pair_now: bool) -> int:
        session = self._facts.get(model.Session, session_id)
        if session is None:
            with self._store.transaction():
                self._followed.stop(session_id)
            return 0
        lines = self._read_transcripts(session)
        if lines:
            self._followed.note_growth(session_id, now_ns)
        if session_id in self._behind:  # without the last lines, two of three events could form a wrong pair
            return lines
        with self._store.transaction():
            heard_ns = 0 if pair_now else self._followed.heard_ns(session_id, now_ns)
            is_over = self._pairing.pair(session_id, now_ns, heard_ns)
            self._write_items(session_id, now_ns, now_ns - heard_ns, is_over=is_over)
            if is_over and not lines and self._followed.is_silent(session_id, now_ns):
                self._followed.stop(session_id)
        return lines

    # -- history: sessions that no hook has captured -------------------------------------------------------------------

    def read_sessions(self, sessions: Iterable[model.Session], begin: Callable[[model.Session], None]) -> Iterator[int]:
        """Read the transcripts of sessions, in the caller's transactions. Yield how many bytes were new, again and again.

        If it raises, a line could not be read. ``read_carefully`` finds out which.

        Args:
            sessions: the sessions.
            begin: called before a part of a session is read.
        """
        for session in sessions:
            self._transcripts.forget()  # the files of the session before
            for file in self._transcripts.files(session.session_id, session.transcript_path) or ():
                for batch in self._transcripts.batches(file):
                    begin(session)
                    before = self._transcripts.new_bytes  # an answer without a request id may be read again
                    self._take_lines(batch, is_careful=False)
                    yield self._transcripts.new_bytes - before

    def read_carefully(self, session: model.Session) -> None:
        """Read all transcripts of a session, each batch in its own transaction. A line that cannot be read costs no other."""
        while self._read_transcripts(session):
            pass
        self._behind.discard(session.session_id)

    def pair_history(self, session_id: str, now_ns: int) -> None:
        """Pair a session that was read, in the caller's transaction.

        A fork inherits the account of its parent, so that has to be read, too.
        """
        self._pairing.pair(session_id, now_ns, 0)

    def _read_transcripts(self, session: model.Session) -> int:
        """Read on in the session's transcripts, at most SESSION_BYTES_PER_LOOK and a batch. Return how many lines were new."""
        lines, left = 0, SESSION_BYTES_PER_LOOK
        files = self._transcripts.files(session.session_id, session.transcript_path)
        if files is None:
            self._behind.add(session.session_id)
            return 0
        for file in files:
            count, read = self._read_file(file, min(left, BYTES_PER_LOOK))
            lines += count
            left -= read
            if left <= 0:
                self._behind.add(session.session_id)
                break
        return lines

    def _read_file(self, file: TranscriptFile, most: int) -> tuple[int, int]:
        """Read on in a file, at most a number of bytes and a batch. Return how many lines and bytes were read."""
        lines, read, failed_at = 0, 0, -1
        batches = self._transcripts.batches(file)
        while (batch := next(batches, None)) is not None:
            begin = batch.cursor.offset
            is_careful = begin < failed_at
            try:
                with self._store.transaction():
                    self._take_lines(batch, is_careful=is_careful)
            except (sqlite3.Error, MemoryError):
                raise  # the store failed, not a line
            except Exception as error:
                if is_careful or is_shortage(error):
                    raise
                # A line cannot be read. It is found when the batch is read again, line by line.
                failed_at = batch.cursor.offset
                batches = self._transcripts.batches(file)
                continue
            lines += batch.count
            read += batch.cursor.offset - begin
            if read >= most:
                self._behind.add(file.session_id)
                break
        return lines, read

    def _take_lines(self, batch: TranscriptBatch, *, is_careful: bool) -> None:
        """Read the lines of a batch. Only if ``is_careful``, an error costs no more than its line."""
        self._lines.begin(batch.file)
        for item in batch.items:
            damage, details = list(item.damage), list(item.details)
            for line in item.lines:
                if not is_careful:
                    self._lines.read(line)
                elif not self._take_line(line):
                    damage.append(Damage.ERROR)
                    details.append(f"{line.line.type}: error")
            if not item.is_repeated:
                for reason in damage:
                    self._totals.add(catalog.TRANSCRIPT_DAMAGE, (("reason", reason),), 1)
                for detail in details:
                    self._unknowns.count("transcript", detail[:128])
        self._lines.finish()
        self._transcripts.advance(batch)

    def _take_line(self, line: TranscriptLine) -> bool:
        """Read one line. Return False if it cannot be read."""
        try:
            with self._store.step():
                self._lines.read(line)
        except (sqlite3.Error, MemoryError):
            raise  # the store failed, or the line may be readable later
        except Exception:
            _log.exception("a %s line of session %s could not be read", line.line.type, line.line.session_id)
            return False
        return True

    def _write_items(self, session_id: str, now_ns: int, silence_ns: int, *, is_over: bool) -> None:
        """Write the session's spans and log events. An error here has no effect on metrics."""
        if self._writer is None:
            return
        try:
            with self._store.step():
                self._writer.write(session_id, now_ns, silence_ns, is_over=is_over)
        except sqlite3.Error:
            raise
        except Exception:
            _log.exception("spans and log events of session %s cannot be written", session_id)
            self._writer.put_off(session_id)
