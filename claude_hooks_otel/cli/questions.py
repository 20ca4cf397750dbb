"""What the commands that answer questions share: the options of a range, and the store that they read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import fail
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.ranges import Range, RangeError, parse_range
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain
from claude_hooks_otel.store.schema import bring_up_to_date

SinceOption = Annotated[str | None, typer.Option(help="The first day or time, such as 2026-11-01.")]
UntilOption = Annotated[str | None, typer.Option(help="The last day or time.")]
LastOption = Annotated[
    str | None,
    typer.Option(
        help="So many hours back from now (24h), or so many days (7d) or weeks (4w), which are whole days and end with today."
    ),
]
ZoneOption = Annotated[str | None, typer.Option(help="The time zone of days and hours. Default: this machine's.")]


def asked_range(
    word: str | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    last: str | None = None,
    zone: str | None = None,
) -> Range:
    """Return the range that the options of a command describe. End the command with a sentence if they make no sense."""
    try:
        return parse_range(word, since=since, until=until, last=last, zone=zone, now_ns=time.time_ns())
    except RangeError as error:
        fail(str(error))


@contextmanager
def opened_store(home: Home) -> Iterator[sqlite3.Connection]:
    """Open the store for reading, or an empty one if nothing was captured yet. End the command with a sentence if it cannot be read."""
    try:
        with closing(connect(home.store, readonly=True) if home.store.exists() else _empty_store()) as connection:
            yield connection
    except sqlite3.Error as error:
        fail(explain(home.store, error))


def _empty_store() -> sqlite3.Connection:
    from claude_hooks_otel.daemon.assembly import ROOMS  # noqa: PLC0415 — only before the first session, and it imports much

    connection = sqlite3.connect(":memory:", isolation_level=None)
    bring_up_to_date(connection, ROOMS)
    return connection
