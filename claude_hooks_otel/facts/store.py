"""The embedded store: one SQLite file (WAL) that holds the facts, the ledger of events, and how far each transcript was read.

Its tables are those of ``facts.schema``. All writing happens in transactions that belong to the daemon; anything that only reads
opens the file read-only.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from claude_hooks_otel.facts.model import SHAPES, Fact
from claude_hooks_otel.facts.tables import SCHEMA_VERSION, TABLES, create_tables
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.store.connection import connect, read_meta, write_meta
from claude_hooks_otel.units import DAY

F = TypeVar("F", bound=Fact)
# What is told of each change: the fact before (None for a new one) and after.
ChangeListener = Callable[[Fact | None, Fact], None]

# How long lengths and digests of texts are kept, nanoseconds: spans and log events that tell them are written seconds after them.
CONTENT_KEPT_NS = 7 * DAY
# A later copy of the same payload within this time is a second copy of the same hook, not a second event.
DUPLICATE_WINDOW_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Signal:
    """A row of the event ledger: that an event happened, when, to whom, and one word about it."""

    received_ns: int
    event: str
    agent_id: str
    prompt_id: str
    detail: str


class Journal(Protocol):
    """What gathers beside the facts during a transaction and is written with them: the series, the records that are due."""

    def mark(self) -> int:
        """Where it stands."""

    def rewind(self, mark: int) -> None:
        """Forgets what came after a mark."""

    def flush(self) -> object:
        """Writes what has gathered, inside the transaction."""

    def discard(self) -> None:
        """Forgets everything that has gathered: the transaction did not happen."""


class Store:
    """The store as its one writer sees it.

    Args:
        path: the database file; made if it is not there.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        self.path = path
        self.connection = connect(path)
        self.now_ns = now_ns
        self.journals: list[Journal] = []
        self.on_change: ChangeListener | None = None
        try:
            self._create()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file; nothing is pending outside a transaction."""
        self.connection.close()

    def _create(self) -> None:
        with self.transaction():
            create_tables(self.connection)
            version = int(self.meta("schema_version", str(SCHEMA_VERSION)))
            self.meta("created_ns", str(self.now_ns()))
            self.meta("instance_id", str(uuid.uuid4()))
            if version > SCHEMA_VERSION:  # in the transaction, so that nothing of a newer store is changed
                raise RuntimeError(
                    f"the store was written by a newer claude-hooks-otel (schema {version}, this one knows {SCHEMA_VERSION}): "
                    "upgrade this installation, or point CLAUDE_HOOKS_OTEL_HOME elsewhere"
                )

    def meta(self, name: str, default: str) -> str:
        """A named value; ``default`` is stored where there is none yet."""
        self.connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
        return read_meta(self.connection, name)

    def history_ns(self) -> int:
        """Where our time begins: what a transcript tells of before was before capturing began, and counts nothing.

        That is when the store was made, or the first captured event, if that waited in the spool before there was a store; and
        never before what was pruned, which would count again.
        """
        began = int(self.meta("history_ns", self.meta("created_ns", str(self.now_ns()))))
        return max(began, int(self.meta("pruned_ns", "0")))

    def set_meta(self, name: str, value: str) -> None:
        """Stores a named value."""
        write_meta(self.connection, name, value)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, the journals' entries included; the lock is taken at once, so that it cannot fail half-way."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            for journal in self.journals:
                journal.flush()
            self.connection.execute("COMMIT")
        except BaseException:
            for journal in self.journals:
                journal.discard()  # first: a rollback can fail, too
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One step of a transaction, undone alone where it fails: what one bad event did must not cost the others."""
        marks = [journal.mark() for journal in self.journals]
        self.connection.execute("SAVEPOINT step")
        try:
            yield
        except Exception:
            if self.connection.in_transaction:  # a full disk may have ended it all
                self.connection.execute("ROLLBACK TO step")
            for journal, mark in zip(self.journals, marks, strict=True):
                journal.rewind(mark)
            raise
        finally:
            if self.connection.in_transaction:
                self.connection.execute("RELEASE step")

    # -- facts ---------------------------------------------------------------------------------------------------------

    def upsert(self, fact: Fact) -> None:
        """Adds what a sighting knows; tells ``on_change`` where that changed anything."""
        kind = type(fact)
        table, shape = TABLES[kind], SHAPES[kind]
        key = [getattr(fact, name) for name in shape.keys]
        values = key + [getattr(fact, name) for name, _ in shape.merges]
        if self.connection.execute(table.insert, values).rowcount:
            old, new = None, fact
        else:
            old = kind(**dict(zip(shape.names, self.connection.execute(table.select, key).fetchone(), strict=True)))
            new = old.merged(fact)
            if new is old:
                return
            self.connection.execute(table.update, [getattr(new, name) for name, _ in shape.merges] + key)
        if self.on_change:
            self.on_change(old, new)

    def get(self, kind: type[F], *key: str | int) -> F | None:
        """The fact with this natural key."""
        row = self.connection.execute(TABLES[kind].select, key).fetchone()
        return None if row is None else kind(**dict(zip(SHAPES[kind].names, row, strict=True)))

    def select(self, kind: type[F], where: str = "1", *parameters: str | int | None) -> list[F]:
        """The facts of a kind that meet an SQL condition."""
        names = SHAPES[kind].names
        rows = self.connection.execute(f"SELECT {', '.join(names)} FROM {TABLES[kind].name} WHERE {where}", parameters)  # noqa: S608
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]

    def see_sessions(self, seen: Mapping[str, tuple[int, int]]) -> None:
        """Widens the time in which sessions were seen: session id → (first, last), Unix nanoseconds. It feeds no series."""
        if seen and (earliest := min(first for first, _ in seen.values())) < self.history_ns():
            self.set_meta("history_ns", str(earliest))
        self.connection.executemany(
            "UPDATE session SET first_seen_ns = MIN(first_seen_ns, ?), last_seen_ns = MAX(last_seen_ns, ?) WHERE session_id = ?",
            [(first, last, session_id) for session_id, (first, last) in seen.items()],
        )

    # -- the ledger of events --------------------------------------------------------------------------------------------

    def record_event(
        self, digest: bytes, session_id: str, signal: Signal, window_ns: int = DUPLICATE_WINDOW_NS
    ) -> bool:
        """Enters an event; False if it is a copy of one that was entered before.

        Args:
            digest: of the payload's bytes.
            session_id: whose event it is.
            signal: what to remember of it.
            window_ns: copies at most this far apart are one event.
        """
        row = {
            "digest": digest, "at": signal.received_ns, "session": session_id, "event": signal.event,
            "agent": signal.agent_id, "prompt": signal.prompt_id, "detail": signal.detail, "window": window_ns,
        }  # fmt: skip
        if self.connection.execute(
            "INSERT INTO event SELECT :digest, :at, :session, :event, :agent, :prompt, :detail WHERE NOT EXISTS "
            "(SELECT 1 FROM event WHERE digest = :digest AND received_ns BETWEEN :at - :window AND :at + :window)",
            row,
        ).rowcount:
            return True
        if signal.event == "SubagentStart":
            # Out of a backlog the later copy may come first: a beginning is the earlier one's. Other events' times are keys.
            self.connection.execute(
                "UPDATE OR IGNORE event SET received_ns = :at WHERE digest = :digest AND received_ns > :at AND received_ns <= :at + :window",
                row,
            )
        return False

    def signals(self, session_id: str, *events: str) -> list[Signal]:
        """The session's ledger rows of these events, in the order of their times."""
        marks = ", ".join("?" * len(events))
        rows = self.connection.execute(
            f"SELECT received_ns, event, agent_id, prompt_id, detail FROM event WHERE session_id = ? AND event IN ({marks}) "  # noqa: S608
            "ORDER BY received_ns, event",
            (session_id, *events),
        )
        return [Signal(*row) for row in rows]

    # -- whose a session is --------------------------------------------------------------------------------------------

    def note_identity(self, session_id: str, at_ns: int, identity: Identity) -> None:
        """Remembers whose the session is from ``at_ns`` on: a resumed session may belong to another agent."""
        if self.identity_at(session_id, at_ns) != identity:
            self.connection.execute(
                "INSERT OR REPLACE INTO identity VALUES (?, ?, ?, ?, ?, ?)",
                (session_id, at_ns, identity.agent, identity.project, identity.team, identity.sprint),
            )

    def identity_at(self, session_id: str, at_ns: int) -> Identity | None:
        """Whose the session was at that time; before anything was known of it, whose it was first; None for an unknown one."""
        for condition in ("since_ns <= ? ORDER BY since_ns DESC", "since_ns > ? ORDER BY since_ns"):
            row = self.connection.execute(
                f"SELECT agent, project, team, sprint FROM identity WHERE session_id = ? AND {condition} LIMIT 1",  # noqa: S608
                (session_id, at_ns),
            ).fetchone()
            if row:
                return Identity(*row)
        return None

    def note_drift(self, kind: str, name: str) -> None:
        """Counts something the models do not know (an event, a field): what a newer client brings."""
        self.connection.execute(
            "INSERT INTO drift VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET seen = seen + 1, last_ns = excluded.last_ns",
            (kind, name, self.now_ns()),
        )

    def prune(self, before_ns: int) -> None:
        """Forgets ledger rows and facts of long ago; series are never forgotten.

        Requests stay: what a session that is resumed later spent beside is its account less all of them (``facts.auxiliary``).
        """
        self.set_meta("pruned_ns", str(before_ns))
        self.connection.execute("DELETE FROM event WHERE received_ns < ?", (before_ns,))
        for table, column in (
            ("tool_call", "ended_ns"),
            ("turn", "started_ns"),
            ("measurement", "at_ns"),
            ("sdk_span", "ended_ns"),
            ("record_written", "written_ns"),
        ):
            self.connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (before_ns,))  # noqa: S608
        # A line can name a session that nobody ever reports of; and who is heard of again is due by what is new then.
        self.connection.execute("DELETE FROM record_due WHERE session_id NOT IN (SELECT session_id FROM watch)")
        self.connection.execute(
            "DELETE FROM content WHERE at_ns < ?", (max(before_ns, self.now_ns() - CONTENT_KEPT_NS),)
        )
