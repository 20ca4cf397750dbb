"""The facts of a store: add what a source has seen, and tell the listeners what that changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from claude_hooks_otel.facts.identities import Identities
from claude_hooks_otel.facts.ledger import Ledger
from claude_hooks_otel.facts.model import Fact
from claude_hooks_otel.facts.model.fact import shape_of
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.store.store import Store

F = TypeVar("F", bound=Fact)
# Called with a fact before (None for a new one) and after each change.
Listener = Callable[[Fact | None, Fact], None]


class Facts:
    """All facts of one store. The caller of each writing method holds the transaction.

    Args:
        store: where they are.
        listeners: called with each change, in this order.

    Attributes:
        ledger: the events, as pairing needs them.
        identities: whose each session is, and since when.
    """

    def __init__(self, store: Store, listeners: Sequence[Listener] = ()) -> None:
        self.store = store
        self.connection = store.connection
        self.ledger = Ledger(store.connection)
        self.identities = Identities(store.connection)
        self._listeners = listeners

    def upsert(self, fact: Fact) -> None:
        """Add what a sighting knows of a fact."""
        kind = type(fact)
        table, shape = TABLES[kind], shape_of(kind)
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
        for listener in self._listeners:
            listener(old, new)

    def get(self, kind: type[F], *key: str | int) -> F | None:
        """Return the fact with this natural key."""
        row = self.connection.execute(TABLES[kind].select, key).fetchone()
        return None if row is None else kind(**dict(zip(shape_of(kind).names, row, strict=True)))

    def select(self, kind: type[F], where: str = "1", *parameters: str | int | None) -> list[F]:
        """Return the facts of a kind that meet an SQL condition."""
        names = shape_of(kind).names
        rows = self.connection.execute(f"SELECT {', '.join(names)} FROM {TABLES[kind].name} WHERE {where}", parameters)  # noqa: S608
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]

    def see_sessions(self, seen: Mapping[str, tuple[int, int]]) -> None:
        """Widen the time in which sessions were seen: session id → (first, last), Unix nanoseconds. It feeds no series."""
        if seen and (earliest := min(first for first, _ in seen.values())) < self.history_ns():
            self.store.set_meta("history_ns", str(earliest))
        self.connection.executemany(
            "UPDATE session SET first_seen_ns = MIN(first_seen_ns, ?), last_seen_ns = MAX(last_seen_ns, ?) WHERE session_id = ?",
            [(first, last, session_id) for session_id, (first, last) in seen.items()],
        )

    def history_ns(self) -> int:
        """Return when our time begins, Unix nanoseconds. What a transcript tells of the time before counts nothing.

        Our time begins with the first captured event, which may have waited in the spool before there was a store; and never before
        the time that was forgotten, because that would count again.
        """
        began = int(self.store.meta("history_ns", self.store.meta("created_ns", str(self.store.now_ns()))))
        return max(began, int(self.store.meta("forgotten_before_ns", "0")))
