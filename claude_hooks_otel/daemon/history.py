"""Reads the history: every transcript of sessions that no hook has captured, also from before the installation.

The facts, the cursors and the code are those of the live following. But history moves no exported series: a counter that jumps by a year is
no rate of anything. It is in the aggregates, with its own time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from claude_hooks_otel.daemon.assembly import assemble_core, identity_resolver
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import transcript_lines
from claude_hooks_otel.sources.transcript_files import PROJECTS, find_agents, read_lines
from claude_hooks_otel.store.connection import read_meta
from claude_hooks_otel.units import SECOND

# Lines in which the first answer of a session is looked for.
_MOST_LINES: Final = 1000


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
    """Return the sessions of configuration folders that were written to since a time, the oldest first."""
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
            if modified_ns >= since_ns:
                found.setdefault(main.stem, Transcripts(main.stem, main, size, modified_ns))
    return sorted(found.values(), key=lambda each: each.modified_ns)


class HistoryImport:
    """One import into a home. Close it at the end.

    Args:
        home: the home.
        config: what the owner has set. It gives the identities and the prices.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, home: Home, config: Config, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._core = assemble_core(
            home, config, now_ns, history_ns=self._history_ns, keeps_content=False, is_live=False
        )
        self._facts, self._store = self._core.facts, self._core.store
        self._resolve = identity_resolver(config)
        self._now_ns = now_ns
        self._known: set[str] = {
            session_id for (session_id,) in self._store.connection.execute("SELECT session_id FROM imported_session")
        }
        self.result = ImportResult()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def is_captured(self, session_id: str) -> bool:
        """Return whether hooks have captured the session, so that the daemon counts it."""
        row = self._store.connection.execute("SELECT 1 FROM ledger WHERE session_id = ? LIMIT 1", (session_id,))
        return row.fetchone() is not None

    def read(self, transcripts: Transcripts) -> Iterator[int]:
        """Read one session. Yield how many bytes were read, again and again. It may be stopped between two steps.

        Raises:
            sqlite3.Error: the store cannot be written. Nothing is half read.
        """
        session_id = transcripts.session_id
        if self.is_captured(session_id):
            self.result.captured += 1
            return
        if self._is_forgotten(transcripts):
            self.result.known += 1
            return
        begin = _beginning(transcripts.main)
        if begin is None:
            self.result.empty += 1
            return
        session = self._session(transcripts, begin)
        read = 0
        for number in self._core.intake.read_history(session):
            read += number
            self.result.bytes_read += number
            yield number
        self.result.sessions += bool(read)
        self.result.known += not read

    def pair(self) -> None:
        """Pair every session that was read. Call it at the end: what a fork cost follows only from the account of its parent.

        Raises:
            sqlite3.Error: the store cannot be written. The next import pairs them.
        """
        unpaired = "SELECT session_id FROM imported_session WHERE is_paired = 0"
        for (session_id,) in self._store.connection.execute(unpaired).fetchall():
            session = self._facts.get(model.Session, session_id)
            self._core.aggregates.moment_ns = session.first_seen_ns if session else None
            self._core.intake.pair_history(session_id, self._now_ns())
            with self._store.transaction():
                self._note(session_id, is_paired=True)

    def _session(self, transcripts: Transcripts, begin: _Beginning) -> model.Session:
        """Add the session, and return it. It has to be paired."""
        identity = self._resolve({}, begin.directory)
        session = model.Session(
            session_id=transcripts.session_id,
            first_seen_ns=begin.at_ns,
            last_seen_ns=begin.at_ns,
            transcript_path=str(transcripts.main),
            **identity.columns(),
        )
        with self._store.transaction():
            self._facts.upsert(session)
            if self._facts.identities.at(session.session_id, begin.at_ns) is None:
                self._facts.identities.note(session.session_id, 0, identity)
            self._note(session.session_id, is_paired=False)
        self._core.aggregates.moment_ns = begin.at_ns
        return session

    def _note(self, session_id: str, *, is_paired: bool) -> None:
        self._known.add(session_id)
        self._store.connection.execute("INSERT OR REPLACE INTO imported_session VALUES (?, ?)", (session_id, is_paired))

    def _is_forgotten(self, transcripts: Transcripts) -> bool:
        """Return whether an earlier import counted the session, it was deleted since, and nothing new is in its files."""
        if transcripts.session_id not in self._known or self._facts.get(model.Session, transcripts.session_id):
            return False
        return transcripts.modified_ns < int(read_meta(self._store.connection, "forgotten_before_ns") or 0)

    def _history_ns(self, session_id: str) -> int:
        """Return from when a session's lines count: all, but those that an earlier import counted and that were forgotten since."""
        if session_id not in self._known:
            return 0
        return int(read_meta(self._store.connection, "forgotten_before_ns") or 0)


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
    for number, (raw, _) in enumerate(read_lines(main, 0)):
        for line in transcript_lines.parse(raw or b"").records:
            if at_ns is None and line.timestamp >= SECOND:
                at_ns, directory = line.timestamp, None
            directory = directory or line.cwd
            if isinstance(line, transcript_lines.AssistantLine):
                if line.request_session_id in (None, line.session_id):
                    return None if at_ns is None else _Beginning(at_ns, directory)
                at_ns = None
        if number > _MOST_LINES and at_ns is not None:
            break
    return None if at_ns is None else _Beginning(at_ns, directory)
