"""The tables of series, aggregates, gauges and exemplars. Totals and the sums of all sessions together are never deleted.

``before_start`` has the part of a total that was exported under an earlier start time (``series.renewal``). ``budget_state`` has the
budgets as the daemon has seen them last, for the status line, which cannot read the configuration.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from claude_hooks_otel.series import aggregates

SCHEMA: Final = f"""
{aggregates.SCHEMA};
CREATE TABLE IF NOT EXISTS series (
    metric TEXT, labels TEXT, start_ns INTEGER, value INTEGER, buckets TEXT, PRIMARY KEY (metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS before_start (
    metric TEXT, labels TEXT, value INTEGER, buckets TEXT, PRIMARY KEY (metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS program_gauge (
    metric TEXT, labels TEXT, value INTEGER, at_ns INTEGER, PRIMARY KEY (metric, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_threshold (name TEXT PRIMARY KEY, ends_ns INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_state (
    scope TEXT, name TEXT, period TEXT, begin_ns INTEGER, ends_ns INTEGER, allowed INTEGER, used INTEGER, unpriced_tokens INTEGER,
    PRIMARY KEY (scope, name, period)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exemplar (
    metric TEXT, labels TEXT, bucket INTEGER, value INTEGER, at_ns INTEGER, trace_id TEXT, span_id TEXT, kept_ns INTEGER,
    PRIMARY KEY (metric, labels, bucket)
) WITHOUT ROWID
"""


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:  # noqa: ARG001 — every room takes these
    """Delete old exemplars, the thresholds of old periods, and the sums of sessions that are deleted.

    Totals, gauges and the sums of all sessions together stay.
    """
    connection.execute("DELETE FROM budget_threshold WHERE ends_ns < ?", (before_ns,))
    connection.execute("DELETE FROM exemplar WHERE kept_ns < ?", (before_ns,))
    connection.execute(
        "DELETE FROM session_aggregate WHERE bucket < ? AND session_id NOT IN (SELECT session_id FROM session)",
        (before_ns // aggregates.BUCKET,),
    )
