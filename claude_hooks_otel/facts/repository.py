"""The facts of a store. Adding a fact merges it, and listeners get the change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from claude_hooks_otel.facts.identities import Identities
from claude_hooks_otel.facts.ledger import Ledger
from claude_hooks_otel.facts.model import Fact
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.store.connection import read_meta
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.units import DAY

F = TypeVar("F", bound=Fact)
# Called with a fact before (None for a new one) and after each change.
Listener = Callable[[Fact | None, Fact], None]


class FactReader:
    """The facts of one store, for reading only.

    Args:
        connection: a connection to the store, which may be read-only.

    Attributes:
        ledger: the events that arrived.
        identities: the identities of sessions.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.ledger = Ledger(connection)
        self.identities = Identities(connection)

    def get(self, kind: type[F], *key: str | int) -> F | None:
        """Return the fact with this natural key."""
        row = self.connection.execute(TABLES[kind].select, key).fetchone()
        return None if row is None else kind(**dict(zip(kind.SHAPE.names, row, strict=True)))

    def select(self, kind: type[F], where: str = "1", *parameters: str | int | None) -> list[F]:
        """Return the facts of a kind that meet an SQL condition."""
        names = kind.SHAPE.names
        rows = self.connection.execute(f"SELECT {', '.join(names)} FROM {TABLES[kind].name} WHERE {where}", parameters)  # noqa: S608
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]


class Facts(FactReader):
    """All facts of one store. Every writing method needs an open transaction.

    Args:
        store: the store.
        listeners: called with each change, in this order.
    """

    def __init__(self, store: Store, listeners: Sequence[Listener] = ()) -> None:
        super().__init__(store.connection)
        self.store = store
        self._listeners = listeners

    def upsert(self, *facts: Fact) -> None:
        """Add facts, or merge them with the ones that have the same keys."""
        for fact in facts:
            kind, shape = type(fact), fact.SHAPE
            table = TABLES[kind]
            key = [getattr(fact, name) for name in shape.keys]
            values = key + [getattr(fact, name) for name, _ in shape.merges]
            if self.connection.execute(table.insert, values).rowcount:
                old, new = None, fact
            else:
                old = kind(**dict(zip(shape.names, self.connection.execute(table.select, key).fetchone(), strict=True)))
                new = old.merged(fact)
                if new is old:
                    continue
                self.connection.execute(table.update, [getattr(new, name) for name, _ in shape.merges] + key)
            for listener in self._listeners:
                listener(old, new)

    def see_sessions(self, seen: Mapping[str, tuple[int, int]]) -> None:
        """Note when sessions were seen: session id → first and last time, Unix nanoseconds. No series depends on it."""
        if seen and (earliest := min(first for first, _ in seen.values())) < self._first_capture_ns():
            self.store.set_meta("history_ns", str(earliest))
        self.connection.executemany(
            "UPDATE session SET first_seen_ns = MIN(first_seen_ns, ?), last_seen_ns = MAX(last_seen_ns, ?) WHERE session_id = ?",
            [(first, last, session_id) for session_id, (first, last) in seen.items()],
        )

    def history_ns(self, session_id: str) -> int:
        """Return the time from which a session's transcript counts, Unix nanoseconds.

        For a session whose beginning was captured, everything counts. For any other, it is the time of the first captured event. That
        event may be older than the store, because it waited in the spool. It is never before the time up to which facts were
        forgotten, because they would count again. If that time is still to come, the clock was set back, and the last day counts.
        """
        forgotten_ns = int(read_meta(self.connection, "forgotten_before_ns") or 0)
        if forgotten_ns > (now_ns := self.store.now_ns()):
            forgotten_ns = now_ns - DAY
        if self.ledger.has_beginning(session_id):
            return forgotten_ns
        return max(self._first_capture_ns(), forgotten_ns)

    def _first_capture_ns(self) -> int:
        return int(read_meta(self.connection, "history_ns") or read_meta(self.connection, "created_ns"))
