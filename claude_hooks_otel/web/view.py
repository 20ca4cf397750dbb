"""What every page is made of: a store that is open for reading, and the question that it answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.breakdown import COLUMNS, Breakdown, Column, break_down
from claude_hooks_otel.report.daily_sums import add_up
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.series.aggregates import Aggregate, buckets, read_aggregates
from claude_hooks_otel.web.memory import Memory
from claude_hooks_otel.web.question import Question
from claude_hooks_otel.web.tables import Table


@dataclass(frozen=True, slots=True)
class Page:
    """A page before it is drawn.

    Attributes:
        name: its template, and its part of the address of its tables.
        title: its title.
        tables: its tables by name.
        values: what else the template shows.
    """

    name: str
    title: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """One look at the store.

    Attributes:
        home: the home.
        connection: the store, open for reading.
        memory: what is in memory of it.
        question: the range and the filters.
        parameters: the whole query of the address.
        is_export: whether all rows are wanted, and not one page of them.
    """

    home: Home
    connection: sqlite3.Connection
    memory: Memory
    question: Question
    parameters: Mapping[str, str]
    is_export: bool = False

    @cached_property
    def version(self) -> Hashable:
        """What changes whenever the store does."""
        return self.memory.version()

    @cached_property
    def aggregates(self) -> list[Aggregate]:
        """The sums of the range, by hour or by day."""
        within = self.question.within
        if self.question.step == "hour":
            return list(read_aggregates(self.connection, within.since_ns, within.until_ns))
        return self.memory.sums.read(self.connection, within, self.version)

    @cached_property
    def whole(self) -> list[Aggregate]:
        """The sums of the range, without their times."""
        return self.memory.keep(("whole", *self._key), self.version, lambda: add_up(self.aggregates))

    def of(self, within: Range) -> list[Aggregate]:
        """Return the sums of another range, without their times."""

        def read() -> list[Aggregate]:
            return add_up(self.memory.sums.read(self.connection, within, self.version))

        return self.memory.keep(("whole", *buckets(within.since_ns, within.until_ns)), self.version, read)

    def by(self, *groups: str, columns: Sequence[Column] = COLUMNS, is_filtered: bool = True) -> Breakdown:
        """Return the breakdown of the range.

        Args:
            groups: at most two.
            columns: the figures.
            is_filtered: whether the filters count.
        """
        only = self.question.only if is_filtered else {}
        has_time = any(group in ("hour", "day") for group in groups)

        def find() -> Breakdown:
            aggregates = self.aggregates if has_time else self.whole
            return break_down(aggregates, self.question.within, by=groups, only=only, columns=columns)

        filters = tuple((name, *values) for name, values in sorted(only.items()))
        name = ("by", *self._key, self.question.within.zone, groups, filters, tuple(column.name for column in columns))
        return self.memory.keep(name, self.version, find)

    def choices(self) -> dict[str, list[str]]:
        """Return the values of the groups that people filter by most."""

        def find() -> dict[str, list[str]]:
            names = ("agent", "project", "model")
            return {name: sorted({group[0] for group in self.by(name, is_filtered=False).rows}) for name in names}

        return self.memory.keep(("choices", *self._key), self.version, find)

    @property
    def _key(self) -> tuple[Hashable, ...]:
        """The range, as exact as it counts."""
        within = self.question.within
        return (*buckets(within.since_ns, within.until_ns), self.question.step)

    def is_empty(self) -> bool:
        """Return whether the store has never counted anything."""
        return self.connection.execute("SELECT 1 FROM aggregate LIMIT 1").fetchone() is None
