"""The facts of a store. They gather in memory during a transaction, are merged with those of the store at its end, and listeners get the changes."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from claude_hooks_otel.facts.identities import Identities
from claude_hooks_otel.facts.ledger import Ledger
from claude_hooks_otel.facts.model import Fact
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.store.connection import MOST_PARAMETERS, portions, read_meta
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.units import DAY

F = TypeVar("F", bound=Fact)
Key = tuple[Any, ...]
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
        self._connection = connection
        self.ledger = Ledger(connection)
        self.identities = Identities(connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The store's connection."""
        return self._connection

    def get(self, kind: type[F], *key: str | int) -> F | None:
        """Return the fact with this natural key."""
        row = self._connection.execute(TABLES[kind].select, key).fetchone()
        return None if row is None else kind(**dict(zip(kind.SHAPE.names, row, strict=True)))

    def select(self, kind: type[F], where: str = "1", *parameters: str | int | None) -> list[F]:
        """Return the facts of a kind that meet an SQL condition. If the condition reads other tables, it has a ``SELECT``."""
        names = kind.SHAPE.names
        rows = self._connection.execute(f"SELECT {', '.join(names)} FROM {TABLES[kind].name} WHERE {where}", parameters)  # noqa: S608
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]


class Facts(FactReader):
    """All facts of one store, and a participant of its transactions.

    What a transaction adds is merged in memory, and written when the facts are read, or when the transaction ends. So a fact that many
    lines report is written once.

    Args:
        store: the store.
        listeners: called with each change when it is written, in this order.
    """

    def __init__(self, store: Store, listeners: Sequence[Listener] = ()) -> None:
        self.store = store
        super().__init__(store.connection)
        self._listeners = listeners
        self._added: defaultdict[type[Fact], dict[Key, Fact]] = defaultdict(dict)
        store.enlist(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The store's connection. It sees everything that was added so far."""
        self.flush()
        return self.store.connection

    def upsert(self, *facts: Fact) -> None:
        """Add facts, or merge them with the ones that have the same keys. The caller holds the transaction."""
        for fact in facts:
            added, key = self._added[type(fact)], fact.SHAPE.key(fact)
            known = added.get(key)
            added[key] = fact if known is None else known.merged(fact)

    def added(self, kind: type[F], *key: str | int) -> F | None:
        """Return what was added with this natural key and is not written yet."""
        added: dict[Key, Any] = self._added.get(kind, {})
        return added.get(key)

    def get(self, kind: type[F], *key: str | int) -> F | None:
        """Return the fact with this natural key."""
        stored = super().get(kind, *key)
        added = self.added(kind, *key)
        return added if stored is None else stored if added is None else stored.merged(added)

    def select(self, kind: type[F], where: str = "1", *parameters: str | int | None) -> list[F]:
        """Return the facts of a kind that meet an SQL condition. If the condition reads other tables, it has a ``SELECT``."""
        if kind in self._added or "SELECT" in where:
            self.flush()
        return super().select(kind, where, *parameters)

    # -- a participant of the store's transactions ---------------------------------------------------------------------

    def mark(self) -> int:
        """Write what was added before a step, so that undoing the step keeps it. Return a dummy mark."""
        self.flush()
        return 0

    def rewind(self, mark: int) -> None:  # noqa: ARG002 — see ``mark``
        """Forget what was added since the mark."""
        self.discard()

    def discard(self) -> None:
        """Forget what was added and is not written yet."""
        self._added.clear()
        self.identities.discard()

    def flush(self) -> None:
        """Merge what was added with the facts of the store, write what changes, and tell the listeners."""
        if not (self._added or self.identities.has_notes):
            return
        self.store.begin()
        self.identities.flush()
        while self._added:
            kind, added = self._added.popitem()
            changes = list(self._changes(kind, added))
            self.store.connection.executemany(TABLES[kind].write, [kind.SHAPE.values(new) for _, new in changes])
            for old, new in changes:
                for listener in self._listeners:
                    listener(old, new)

    def _changes(self, kind: type[Fact], added: dict[Key, Fact]) -> Iterator[tuple[Fact | None, Fact]]:
        """Yield each fact that changes, as it is in the store (None if it is new), and merged."""
        shape, stored = kind.SHAPE, dict[Key, Fact]()
        for keys in portions(list(added), MOST_PARAMETERS // len(shape.keys)):
            for row in self.store.connection.execute(TABLES[kind].select_many(len(keys)), [*chain.from_iterable(keys)]):
                fact = kind(**dict(zip(shape.names, row, strict=True)))
                stored[shape.key(fact)] = fact
        for key, fact in added.items():
            if (old := stored.get(key)) is None:
                yield None, fact
            elif (new := old.merged(fact)) is not old:
                yield old, new

    # -- sessions over time --------------------------------------------------------------------------------------------

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
