"""Copies from a damaged store what SQLite can still read, row by row, table by table.

A table is a tree of pages in the order of its key. A damaged page hides its own rows only. So each table is read from both ends up to the
damage, and what lies between is looked for from many places in the middle.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import string
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.store.connection import transaction

_ROWS_PER_STATEMENT: Final = 500
# The characters that ids consist of, in SQLite's order, and how many places between two integers are tried.
_CHARACTERS: Final = "".join(sorted(string.ascii_letters + string.digits + "-_:./"))
_PLACES: Final = 1024
_TYPES: Final[dict[str, tuple[type, ...]]] = {"INTEGER": (int,), "TEXT": (str,), "BLOB": (bytes,)}

Row = tuple[Any, ...]


@dataclass(slots=True)
class Salvage:
    """What was read from a damaged store.

    Attributes:
        rows: how many rows of each table were read.
        lost: the tables of which at least one row could not be read.
    """

    rows: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: tuple[str, ...]

    def key_of(self, row: Row) -> Row:
        return tuple(row[self.columns.index(name)] for name in self.key)

    def is_sound(self, row: Row) -> bool:
        """Return whether each value has its column's type. Bytes of a torn page can look like a row."""
        return all(
            value is None or isinstance(value, _TYPES.get(kind, (object,)))
            for value, kind in zip(row, self.kinds, strict=True)
        )


def salvage(source: Path, target: Path) -> Salvage:
    """Copy the readable rows of a damaged store into a new file, with the tables that the store has. Indexes are left out.

    Args:
        source: the damaged file, with its WAL next to it. It is only read.
        target: the new file.

    Raises:
        sqlite3.Error: the new file cannot be written.
        OSError: the same.
    """
    found = Salvage()
    target.touch(mode=0o600)
    with closing(sqlite3.connect(target, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous = FULL")
        try:
            old = _open(source)
        except sqlite3.Error:
            return found
        with closing(old), transaction(new):
            for table in _tables(old, new):
                _copy(old, new, table, found)
    return found


def _open(source: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{source}?mode=ro", uri=True, isolation_level=None)
    connection.text_factory = _text
    connection.execute("PRAGMA query_only = 1")
    connection.execute("PRAGMA writable_schema = 1")  # a damaged entry of the schema costs only its own table
    connection.execute("PRAGMA cell_size_check = 1")
    return connection


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _tables(old: sqlite3.Connection, new: sqlite3.Connection) -> list[_Table]:
    """Create the tables of the damaged store in the new one, and return them."""
    tables: list[_Table] = []
    listed: list[Row] = []
    with contextlib.suppress(sqlite3.Error):
        listed.extend(
            old.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        )
    for name, sql in listed:
        if not (isinstance(name, str) and isinstance(sql, str) and name.isidentifier()):
            continue
        try:
            new.execute(sql)
        except sqlite3.Error:
            continue
        columns = new.execute(f"PRAGMA table_info({name})").fetchall()
        key = sorted((place, column) for _, column, _, _, _, place in columns if place)
        tables.append(
            _Table(
                name,
                tuple(column for _, column, *_ in columns),
                tuple(kind for _, _, kind, *_ in columns),
                tuple(column for _, column in key),
            )
        )
    return tables


class _Copier:
    """Copies the rows of one table. ``is_whole`` says whether all rows so far were readable."""

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, table: _Table) -> None:
        self._old, self._new, self._table = old, new, table
        self._select = f"SELECT {', '.join(table.columns)} FROM {table.name} NOT INDEXED"  # noqa: S608 — our own names, here and below
        self._insert = f"INSERT OR IGNORE INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})"  # noqa: S608
        self.is_whole = True

    def take(self, rest: str = "", parameters: Row = ()) -> Row | None:
        """Copy the rows of a query up to the first that cannot be read. Return the key of the last one."""
        last: Row | None = None
        rows = self._rows(rest, parameters)
        while batch := list(itertools.islice(rows, _ROWS_PER_STATEMENT)):
            self._new.executemany(self._insert, batch)
            last = self._table.key_of(batch[-1])
        return last

    def _rows(self, rest: str, parameters: Row) -> Iterator[Row]:
        try:
            for row in self._old.execute(f"{self._select} {rest}", parameters):
                if self._table.is_sound(row):
                    yield row
                else:
                    self.is_whole = False
        except sqlite3.Error:
            self.is_whole = False


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: _Table, found: Salvage) -> None:
    before = new.total_changes
    copier = _Copier(old, new, table)
    if not table.key:
        copier.take()
    else:
        order = ", ".join(table.key)
        low = copier.take(f"ORDER BY {order}")
        if not copier.is_whole:
            _copy_behind_damage(copier, table, low)
    found.rows[table.name] = new.total_changes - before
    if not copier.is_whole:
        found.lost.add(table.name)


def _copy_behind_damage(copier: _Copier, table: _Table, low: Row | None) -> None:
    """Copy a table from its end up to the damage, then what can be found in between.

    Args:
        copier: copies the rows.
        table: the table.
        low: the key of the last row before the damage.
    """
    order, backwards = ", ".join(table.key), ", ".join(f"{name} DESC" for name in table.key)
    marks = ", ".join("?" * len(table.key))
    high = copier.take(f"{f'WHERE ({order}) > ({marks})' if low else ''} ORDER BY {backwards}", low or ())
    until = f"AND ({order}) < ({marks})" if high else ""
    reached = low
    for place in _places(low[0] if low else None, high[0] if high else None):
        if reached is not None and not _is_less(reached[0], place):
            continue
        query = f"WHERE {table.key[0]} >= ? {until} ORDER BY {order}"
        reached = copier.take(query, (place, *(high or ()))) or reached


def _is_less(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one < other


def _places(low: Any, high: Any) -> Iterable[Any]:
    """Return places in the range of a key's first column, in order, at which to look for rows."""
    known = low if low is not None else high
    if isinstance(known, int):
        begin, end = low if isinstance(low, int) else 0, high if isinstance(high, int) else known * 2
        return range(begin, end, max(1, (end - begin) // _PLACES))
    if isinstance(known, bytes):
        return (bytes(pair) for pair in itertools.product(range(256), range(0, 256, 4)))
    return _prefixes(low if isinstance(low, str) else "", high if isinstance(high, str) else "")


def _prefixes(low: str, high: str) -> Iterator[str]:
    """Yield texts that continue what two ids have in common by one, two and three characters."""
    common = "".join(
        one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    )
    for first in _CHARACTERS:
        yield common + first
        for second in _CHARACTERS:
            yield common + first + second
