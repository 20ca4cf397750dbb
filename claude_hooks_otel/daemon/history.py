"""Reads the history: every transcript of sessions that no hook has captured, also from before the installation.

The facts, the cursors and the code are those of the live following. But history moves no exported series: a counter that jumps by a year is
no rate of anything. It is in the aggregates, with its own time.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.daemon.identity import identity_resolver
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.labels import Identity, identity_columns
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import transcript_lines
from claude_hooks_otel.sources.transcript_files import PROJECTS, find_agents, read_lines
from claude_hooks_otel.store.connection import portions, read_meta
from claude_hooks_otel.store.store import Lock
from claude_hooks_otel.units import SECOND

# Lines in which the first answer of a session is looked for.
_MOST_LINES: Final = 1000
# Bytes of transcripts, and sessions to pair, in one transaction. So much is lost if the import is stopped.
BYTES_PER_TRANSACTION: Final = 4 << 20
PAIRED_PER_TRANSACTION: Final = 100

_FORGOTTEN: Final = "SELECT session_id FROM imported_session WHERE session_id NOT IN (SELECT session_id FROM session)"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Transcripts:
    """The transcripts of one session.

    Attributes:
        session_id: the session.
        main: its own transcript.
        size: the size of all its files, bytes.
        modified_ns: when the newest was written, Unix nanoseconds.
    """

    session_id: str
    main: Path
    size: int
    modified_ns: int


@dataclass(slots=True)
class ImportResult:
    """What an import did.

    Attributes:
        sessions: sessions that were read, or that had grown since the last import.
        known: sessions without anything new.
        captured: sessions that hooks have captured. The daemon counts them.
        empty: transcripts without a session's lines.
        bytes_read: what was read.
    """

    sessions: int = 0
    known: int = 0
    captured: int = 0
    empty: int = 0
    bytes_read: int = 0


def find_transcripts(folders: Sequence[Path], since_ns: int = 0) -> list[Transcripts]:
    """Return the sessions of configuration folders that were written to since a time, the oldest first.

    If a session is in several folders, the largest of its copies counts: a transcript only grows.
    """
    found: dict[str, Transcripts] = {}
    for folder in folders:
        for main in sorted(folder.absolute().glob(f"{PROJECTS}/*/*.jsonl")):
            if main.name.startswith("agent-"):
                continue
            size, modified_ns = 0, 0
            for path in (main, *(file.path for file in find_agents(main))):
                with suppress(OSError):
                    status = path.stat()
                    size, modified_ns = size + status.st_size, max(modified_ns, status.st_mtime_ns)
            known = found.get(main.stem)
            if modified_ns >= since_ns and (known is None or known.size < size):
                found[main.stem] = Transcripts(main.stem, main, size, modified_ns)
    return sorted(found.values(), key=lambda each: each.modified_ns)


class _CapturedMeanwhileError(Exception):
    """A session was resumed while it was read, and hooks have captured it. The daemon counts it."""


class HistoryImport:
    """One import into a home. Close it at the end.

    Args:
        home: the home.
        config: what the owner has set. It gives the identities and the prices.
        now_ns: the clock, Unix nanoseconds.
        lock: held while it writes, if several processes import together.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        now_ns: Callable[[], int] = time.time_ns,
        lock: Lock | None = None,
    ) -> None:
        self._core = assemble_core(
            home, config, now_ns, history_ns=self._history_ns, keeps_content=False, is_live=False
        )
        self._facts, self._store = self._core.facts, self._core.store
        self._store.expect_bulk(lock)
        self._resolve = identity_resolver(config, is_live=False)
        self._now_ns = now_ns
        # Sessions that an earlier import counted, and that were deleted since.
        self._forgotten = {session_id for (session_id,) in self._store.connection.execute(_FORGOTTEN)}
        self._forgotten_before_ns = int(read_meta(self._store.connection, "forgotten_before_ns") or 0)
        # The sessions of which the current transaction has read something.
        self._begun: dict[str, model.Session] = {}
        self.result = ImportResult()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def is_captured(self, session_id: str) -> bool:
        """Return whether hooks have captured the session, so that the daemon counts it."""
        row = self._store.connection.execute("SELECT 1 FROM ledger WHERE session_id = ? LIMIT 1", (session_id,))
        return row.fetchone() is not None

    def read(self, transcripts: Iterable[Transcripts]) -> Generator[int]:
        """Read sessions. Yield how many bytes were read, again and again.

        Many sessions are one transaction. If the reading stops, the next import reads that part again.

        Raises:
            sqlite3.Error: the store cannot be written.
        """
        left = iter(transcripts)
        steps = self._core.intake.read_sessions(self._sessions(left), self._begin)
        is_done = False
        while not is_done:
            try:
                is_done = yield from self._read_portion(steps)
            except (sqlite3.Error, MemoryError):
                raise  # the store failed, not a line
            except Exception as error:
                if not isinstance(error, _CapturedMeanwhileError):
                    _log.exception("a line of an old transcript cannot be read; its sessions are read line by line")
                self._read_carefully()
                steps = self._core.intake.read_sessions(self._sessions(left), self._begin)

    def _read_portion(self, steps: Iterator[int]) -> Generator[int, None, bool]:
        """Read as much as one transaction takes. Return whether everything was read."""
        read = 0
        with self._store.transaction(late=True):
            for number in steps:
                read += number
                self.result.bytes_read += number
                yield number
                if read >= BYTES_PER_TRANSACTION:
                    break
            self._note(self._begun, is_paired=False)
            if any(map(self.is_captured, self._begun)):
                raise _CapturedMeanwhileError
        self._begun.clear()
        return read < BYTES_PER_TRANSACTION

    def _read_carefully(self) -> None:
        """Read the sessions of a transaction that failed, one after another and line by line."""
        begun, self._begun = self._begun, {}
        for session in begun.values():
            if self.is_captured(session.session_id):
                self.result.captured += 1
                continue
            with self._store.transaction():
                self._begin(session)
                self._note(self._begun, is_paired=False)
            self._core.intake.read_carefully(session)
        self._begun.clear()
        self.result.sessions += 1  # the one that was being read

    def _sessions(self, transcripts: Iterator[Transcripts]) -> Iterator[model.Session]:
        """Yield the sessions that have to be read, inside the transaction. Count them, and the others."""
        for each in transcripts:
            if self.is_captured(each.session_id):
                self.result.captured += 1
            elif self._is_forgotten(each):
                self.result.known += 1
            elif (begin := _beginning(each.main)) is None:
                self.result.empty += 1
            else:
                before = self.result.bytes_read
                identity = self._resolve({}, begin.directory)
                yield model.Session(
                    session_id=each.session_id,
                    first_seen_ns=begin.at_ns,
                    last_seen_ns=begin.at_ns,
                    transcript_path=str(each.main),
                    **identity.columns(),
                )
                is_new = self.result.bytes_read > before
                self.result.sessions += is_new
                self.result.known += not is_new

    def pair(self) -> None:
        """Pair every session that was read. Call it at the end: what a fork cost follows only from the account of its parent.

        Raises:
            sqlite3.Error: the store cannot be written. The next import pairs them.
        """
        unpaired = self._store.connection.execute("SELECT session_id FROM imported_session WHERE is_paired = 0")
        for portion in portions(unpaired.fetchall(), PAIRED_PER_TRANSACTION):
            with self._store.transaction():
                for (session_id,) in portion:
                    if session := self._facts.get(model.Session, session_id):
                        self._core.aggregates.moments[session_id] = session.first_seen_ns or 0
                    self._core.intake.pair_history(session_id, self._now_ns())
                self._note((session_id for (session_id,) in portion), is_paired=True)

    def _begin(self, session: model.Session) -> None:
        """Add a session of which the transaction reads something. It has to be paired."""
        if session.session_id in self._begun:
            return
        self._begun[session.session_id] = session
        self._core.aggregates.moments[session.session_id] = session.first_seen_ns or 0
        self._facts.upsert(session)
        if self._facts.identities.at(session.session_id, session.first_seen_ns or 0) is None:
            self._facts.identities.note(session.session_id, 0, Identity(**identity_columns(session)))

    def _note(self, session_ids: Iterable[str], *, is_paired: bool) -> None:
        self._store.begin()
        self._store.connection.executemany(
            "INSERT OR REPLACE INTO imported_session VALUES (?, ?)", [(each, is_paired) for each in session_ids]
        )

    def _is_forgotten(self, transcripts: Transcripts) -> bool:
        """Return whether an earlier import counted the session, it was deleted since, and nothing new is in its files."""
        return transcripts.session_id in self._forgotten and transcripts.modified_ns < self._forgotten_before_ns

    def _history_ns(self, session_id: str) -> int:
        """Return from when a session's lines count: all, but those that an earlier import counted and that were forgotten since."""
        return self._forgotten_before_ns if session_id in self._forgotten else 0


@dataclass(frozen=True, slots=True)
class _Beginning:
    at_ns: int
    directory: str | None


def _beginning(main: Path) -> _Beginning | None:
    """Return when a session began, and in which folder; None if the file has no line of a session.

    A fork's file begins with the lines of its parent. The fork itself began after the last of their answers.
    """
    at_ns: int | None = None
    directory: str | None = None
    is_fork = False
    for number, (raw, _) in enumerate(read_lines(main, 0)):
        for line in transcript_lines.parse(raw or b"").records:
            if at_ns is None and line.timestamp >= SECOND:
                at_ns, directory = line.timestamp, None
            directory = directory or line.cwd
            if isinstance(line, transcript_lines.AssistantLine):
                if line.request_session_id in (None, line.session_id):
                    return None if at_ns is None else _Beginning(at_ns, directory)
                at_ns, is_fork = None, True
        if number > _MOST_LINES and at_ns is not None and not is_fork:
            break
    return None if at_ns is None else _Beginning(at_ns, directory)
