"""Compares the cost of sessions with what the client's own status line said. It only checks: no figure comes from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.report.audit import Audited
from claude_hooks_otel.units import DOLLAR, SECOND

# The client's dollars are binary fractions, and sums of them differ in the last digits. Nobody misses a hundredth of a cent.
_TOLERANCE: Final = DOLLAR // 10_000
# A request counts for the client when its answer is complete. Its line in the transcript has an earlier time.
_ANSWERED_WITHIN: Final = 5 * SECOND

_READINGS: Final = """
SELECT r.session_id, r.at_ns, r.cost FROM status_reading r JOIN (
    SELECT session_id, MAX(at_ns) AS at_ns FROM status_reading WHERE cost IS NOT NULL GROUP BY session_id
) USING (session_id, at_ns)
"""
_STORED: Final = """
SELECT
    (SELECT COALESCE(SUM(cost), 0) FROM api_request WHERE session_id = :session AND at_ns <= :before),
    (SELECT COALESCE(SUM(cost), 0) FROM api_request WHERE session_id = :session)
        + (SELECT COALESCE(SUM(cost), 0) FROM auxiliary_usage WHERE session_id = :session),
    (SELECT COUNT(*) FROM api_request WHERE session_id = :session AND cost IS NULL AND error IS NULL),
    EXISTS (SELECT 1 FROM cost_state WHERE session_id = :session)
"""


@dataclass(frozen=True, slots=True)
class CostDifference:
    """A session whose cost the client and the store do not agree on.

    Attributes:
        session_id: the session.
        client_usd: what the client counted at its last status line.
        store_usd: what the store has: all of the session if the client has more, what was answered by then if it has less.
        reason: why they differ; empty if nothing explains it.
    """

    session_id: str
    client_usd: float
    store_usd: float
    reason: str


@dataclass(frozen=True, slots=True)
class CostCheck:
    """How many sessions have a status line with a cost, and those whose cost differs."""

    sessions: int
    differences: list[CostDifference]


def check_costs(connection: sqlite3.Connection, sessions: Iterable[Audited]) -> CostCheck:
    """Compare the sessions that have a status line.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'status_reading'").fetchone():
        return CostCheck(0, [])
    chosen = {session.session_id: session for session in sessions}
    readings = [row for row in connection.execute(_READINGS) if row[0] in chosen]
    return CostCheck(len(readings), list(_differences(connection, chosen, readings)))


def _differences(
    connection: sqlite3.Connection, chosen: dict[str, Audited], readings: list[tuple[str, int, int]]
) -> Iterator[CostDifference]:
    for session_id, at_ns, client in readings:
        values = {"session": session_id, "before": at_ns - _ANSWERED_WITHIN}
        answered, whole, unpriced, has_account = connection.execute(_STORED, values).fetchone()
        if answered - _TOLERANCE <= client <= whole + _TOLERANCE:
            continue
        reason = ""
        if client > whole:
            reason = _missing(chosen[session_id], unpriced=bool(unpriced), has_account=bool(has_account))
        stored = whole if client > whole else answered
        yield CostDifference(session_id, client / DOLLAR, stored / DOLLAR, reason)


def _missing(session: Audited, *, unpriced: bool, has_account: bool) -> str:
    """Return why the store has less than the client; empty if nothing explains it."""
    if session.counts_from_ns:
        return "the session began before the first event that a hook captured"
    if unpriced:
        return "it used a model without a known price (`[prices]` in the configuration)"
    if not has_account:
        return "requests such as titles are in no transcript; the client writes their cost when it ends, and old versions never do"
    return ""
