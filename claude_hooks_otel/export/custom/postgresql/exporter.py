"""Writes measurements into PostgreSQL. It copies them into the table, or into a temporary table first if some rows exist already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord
from claude_hooks_otel.export.custom.postgresql.migration import following, make_partitions, migrate, month_of

DEFAULT_SCHEMA = "claude_metrics"
# How long connecting may take, in seconds, and how long a statement may take, in milliseconds.
CONNECT_TIMEOUT, STATEMENT_TIMEOUT_MS = 10, 120_000

_COLUMNS = "key, at, name, kind, unit, value, labels"


class PostgreSQL(CustomExporter):
    """Writes every measurement into ``SCHEMA.measurement``, once.

    Args:
        conninfo: libpq's connection string or URL. If it is empty, libpq reads the ``PG*`` variables, ``.pgpass`` and the service file,
            as for psql.
        schema: the schema. The exporter creates it, and nothing else should use it.
        options: further libpq parameters (``host``, ``user``, ``password``, …).

    Raises:
        ValueError: the name of the schema is empty.
    """

    def __init__(self, conninfo: str = "", schema: str = DEFAULT_SCHEMA, **options: Any) -> None:
        if not schema:
            raise ValueError("schema: a name is expected")
        self._conninfo, self._schema, self._options = conninfo, schema, options
        self._connection: psycopg.Connection[Any] | None = None
        self._timescale = False
        self._months: set[tuple[int, int]] = set()
        self._now: Callable[[], datetime] = lambda: datetime.now(UTC)
        table = sql.Identifier(schema, "measurement")
        columns = sql.SQL(_COLUMNS)
        self._copy = sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)
        self._stage = sql.SQL("CREATE TEMPORARY TABLE incoming (LIKE {}) ON COMMIT DROP").format(table)
        self._copy_stage = sql.SQL("COPY incoming ({}) FROM STDIN").format(columns)
        self._upsert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM incoming ON CONFLICT DO NOTHING").format(
            table, columns, columns
        )

    def start(self) -> None:
        """Connect and bring the schema up to date.

        Raises:
            psycopg.Error: the server cannot be reached, or rights are missing.
        """
        self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        options = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "claude-hooks-otel", **self._options}
        connection = psycopg.connect(self._conninfo, autocommit=True, **options)
        try:
            connection.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(STATEMENT_TIMEOUT_MS)))
            self._timescale = migrate(connection, self._schema)
            self._months.clear()
            this_month = month_of(self._now())
            self._ensure_months(connection, {this_month, following(this_month)})
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _ensure_months(self, connection: psycopg.Connection[Any], months: set[tuple[int, int]]) -> None:
        if not self._timescale and (missing := months - self._months):
            make_partitions(connection, self._schema, missing)
            self._months |= missing

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Write a batch in one transaction.

        Raises:
            psycopg.Error: the server did not accept the batch. The next try opens a new connection.
        """
        connection = self._connect()
        this_month = month_of(self._now())
        try:
            self._ensure_months(
                connection, {this_month, following(this_month), *{month_of(m.timestamp) for m in batch}}
            )
            try:
                with connection.transaction():
                    self._send(connection, self._copy, batch)
            except psycopg.errors.UniqueViolation:  # some rows exist: an answer was lost, or a daemon was killed
                with connection.transaction():
                    connection.execute(self._stage)
                    self._send(connection, self._copy_stage, batch)
                    connection.execute(self._upsert)
        except BaseException:
            connection.close()
            raise

    def _send(
        self, connection: psycopg.Connection[Any], statement: sql.Composed, batch: Sequence[MetricRecord]
    ) -> None:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for text in _texts(batch):
                copy.write(text)

    def shutdown(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()


# Rows in a block: some hundred kilobytes of text.
_ROWS_A_BLOCK = 2000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _texts(batch: Sequence[MetricRecord]) -> Iterator[str]:
    """Return the batch in COPY's text format. Each different name and label set is formatted once: row by row takes twice as long."""
    what: dict[tuple[str, str, str], str] = {}
    # By the identity of the mapping, which the batch keeps alive: the measurements of one series share theirs.
    labels: dict[int, str] = {}
    for first in range(0, len(batch), _ROWS_A_BLOCK):
        lines = []
        block = batch[first : first + _ROWS_A_BLOCK]
        for metric, key in zip(block, _keys(block), strict=True):
            named = (metric.name, metric.kind, metric.unit)
            if (text := what.get(named)) is None:
                text = what[named] = "\t".join(_escaped(part) for part in named)
            identity = id(metric.labels)
            if (pairs := labels.get(identity)) is None:
                pairs = labels[identity] = _json(metric.labels)
            lines.append(f"{key}\t{metric.timestamp.isoformat()}\t{text}\t{metric.value!r}\t{pairs}\n")
        yield "".join(lines)


def _keys(block: Sequence[MetricRecord]) -> list[str]:
    """Return the keys as COPY reads them. Usual ones are checked all at once."""
    keys = [metric.key for metric in block]
    together = "".join(keys)
    usual = together.isascii() and together.isprintable() and "\\" not in together
    return keys if usual else [_escaped(key) for key in keys]


def _escaped(text: str) -> str:
    return _storable(text).translate(_ESCAPES)


def _json(labels: Mapping[str, str]) -> str:
    kept = {_storable(key): _storable(value) for key, value in labels.items()}
    return json.dumps(kept, ensure_ascii=False).translate(_ESCAPES)


def _storable(text: str) -> str:
    """Return the text without NUL and without halves of surrogate pairs, which PostgreSQL cannot store."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
