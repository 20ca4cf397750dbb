"""The state of each exporter: what it is, when its endpoint last accepted something, and what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

MEASUREMENTS = "measurements"
"""The signal of custom exporters, in addition to OpenTelemetry's metrics, traces and logs."""

CONFIGURATION = "configuration"
"""The name of a state that stands for no exporter, but for a mistake in the configuration of a signal."""


@dataclass(frozen=True, slots=True)
class ExporterState:
    """The state of one exporter, as ``status`` and ``doctor`` show it.

    Attributes:
        signal: ``metrics``, ``traces``, ``logs`` or ``measurements``.
        name: the exporter's name in the configuration.
        description: where it sends to and how, for people. It contains no secret.
        accepted_ns: when its endpoint last accepted something, in Unix nanoseconds; 0 for never.
        error: why its endpoint accepts nothing now, or its message about something accepted; empty if all is well.
        dropped: how many measurements it has missed.
    """

    signal: str
    name: str
    description: str = ""
    accepted_ns: int = 0
    error: str = ""
    dropped: int = 0

    @property
    def title(self) -> str:
        """Its name for people, for example ``otlp traces``."""
        return f"{self.name} {self.signal}"


def configure(connection: sqlite3.Connection, states: Iterable[ExporterState]) -> None:
    """Write which exporters are configured, in order. The caller holds the transaction.

    An exporter that was configured before keeps what is known about it. An exporter that is no longer configured is deleted.
    """
    connection.execute("UPDATE exporter_state SET position = NULL")
    for position, state in enumerate(states):
        connection.execute(
            "INSERT INTO exporter_state VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "position = excluded.position, description = excluded.description, error = excluded.error",
            (state.signal, state.name, position, state.description, state.accepted_ns, state.error, state.dropped),
        )
    connection.execute("DELETE FROM exporter_state WHERE position IS NULL")


def read_states(connection: sqlite3.Connection) -> list[ExporterState]:
    """Return the state of every configured exporter, in the order of the configuration."""
    rows = connection.execute(
        "SELECT signal, name, description, accepted_ns, error, dropped FROM exporter_state ORDER BY position"
    )
    return [ExporterState(*row) for row in rows]


def read_state(connection: sqlite3.Connection, signal: str, name: str) -> ExporterState:
    """Return the state of one exporter, or an empty state if it is not configured."""
    found = (state for state in read_states(connection) if (state.signal, state.name) == (signal, name))
    return next(found, ExporterState(signal, name))


def note_accepted(connection: sqlite3.Connection, signal: str, name: str, now_ns: int) -> None:
    """Note that the endpoint accepted something."""
    connection.execute(
        "UPDATE exporter_state SET accepted_ns = ? WHERE signal = ? AND name = ?", (now_ns, signal, name)
    )


def note_error(connection: sqlite3.Connection, signal: str, name: str, error: str) -> bool:
    """Note what is wrong; an empty text means that nothing is. Return whether this is a change."""
    return bool(
        connection.execute(
            "UPDATE exporter_state SET error = ? WHERE signal = ? AND name = ? AND error != ?",
            (error, signal, name, error),
        ).rowcount
    )


def count_dropped(connection: sqlite3.Connection, signal: str, name: str, dropped: int) -> None:
    """Add to the measurements that an exporter has missed."""
    connection.execute(
        "UPDATE exporter_state SET dropped = dropped + ? WHERE signal = ? AND name = ?", (dropped, signal, name)
    )
