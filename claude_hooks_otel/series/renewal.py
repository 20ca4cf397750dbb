"""Totals of a store that was damaged or restored: computed again from the facts, or begun again for the endpoints.

Endpoints have the totals that were exported before. If a store can have lower ones now, its series begin again, as OpenTelemetry says for
a reset: with a new start time, under a new ``service.instance.id``. What the endpoints accepted before is not exported a second time, so
that sums over both instances stay right.
"""

from __future__ import annotations

import bisect
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Final

from claude_hooks_otel.facts.model import KINDS, Fact
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import OVERFLOW, Labels, encode_labels
from claude_hooks_otel.series.projection import apply_change, contributions
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.sources.registration import REGISTERED
from claude_hooks_otel.store.connection import write_meta
from claude_hooks_otel.units import END_OF_TIME

# Metrics that no fact feeds. Their totals are kept as far as they can be read.
_NOT_FROM_FACTS: Final = (
    catalog.HOOK_EVENTS.name,
    catalog.HOOK_EVENTS_DROPPED.name,
    catalog.EXPORT_FAILURES.name,
    catalog.RECORDS_DROPPED.name,
)
_OF_SPANS: Final = "gen_ai.%"


def recompute(facts: Facts, totals: SeriesTotals) -> None:
    """Compute the totals again from the facts, inside the caller's transaction. Counts that no fact feeds stay.

    Imported history moves no total, so it is left out. Damage of transcripts is not among them, because the transcripts are read again.
    """
    connection = facts.connection
    marks = ", ".join("?" * len(_NOT_FROM_FACTS))
    connection.execute(
        f"DELETE FROM series WHERE metric NOT IN ({marks}) AND metric NOT LIKE ?",  # noqa: S608
        (*_NOT_FROM_FACTS, _OF_SPANS),
    )
    connection.execute("DELETE FROM before_start")
    live_from = _live_from(connection)
    for kind in KINDS:
        for fact in facts.select(kind):
            if (fact.happened_ns or 0) >= live_from.get(getattr(fact, "session_id", None) or "", 0):
                apply_change([totals], None, fact)
        totals.flush()
    present = {
        labels for (labels,) in connection.execute("SELECT labels FROM series WHERE metric = ?", _NOT_FROM_FACTS[:1])
    }
    arrived: Counter[Labels] = Counter()
    for name, count in connection.execute("SELECT event, COUNT(*) FROM ledger GROUP BY event"):
        arrived[(("event", name if name in REGISTERED else "other"),)] += count
    for labels, count in arrived.items():
        if encode_labels(labels) not in present:
            totals.add(catalog.HOOK_EVENTS, labels, count)
    totals.flush()


def _live_from(connection: sqlite3.Connection) -> dict[str, int]:
    """Return for each imported session since when hooks have captured it, Unix nanoseconds. What happened before is history."""
    return dict(
        connection.execute(
            "SELECT session_id, COALESCE((SELECT MIN(received_ns) FROM ledger WHERE ledger.session_id = imported.session_id), ?)"
            " FROM imported_session AS imported",
            (END_OF_TIME,),
        )
    )


def begin_again(facts: Facts, now_ns: int, accepted_ns: int) -> None:
    """Give every series a new start time and the store a new instance, inside the caller's transaction.

    Args:
        facts: the facts of the store, complete.
        now_ns: the new start time, Unix nanoseconds.
        accepted_ns: when an endpoint last accepted totals, Unix nanoseconds. What happened before is not exported again. 0 if none did:
            then everything is exported.
    """
    connection = facts.connection
    write_meta(connection, "instance_id", str(uuid.uuid4()))
    connection.execute("UPDATE series SET start_ns = ?", (now_ns,))
    connection.execute("DELETE FROM before_start")
    if not accepted_ns:
        return
    connection.execute("INSERT INTO before_start SELECT metric, labels, value, buckets FROM series")
    for kind in KINDS:
        recent = (fact for fact in facts.select(kind) if (fact.happened_ns or 0) > accepted_ns)
        _take_out(connection, recent)


def _take_out(connection: sqlite3.Connection, facts: Iterable[Fact]) -> None:
    """Take what facts contribute out of the part that is not exported again."""
    for fact in facts:
        for (metric, labels), amount in contributions(fact).items():
            for text in (encode_labels(labels), encode_labels(OVERFLOW)):
                if _take_from(connection, metric, text, amount):
                    break


def _take_from(connection: sqlite3.Connection, metric: Metric, labels: str, amount: int) -> bool:
    where = (metric.name, labels)
    row = connection.execute(
        "SELECT value, buckets FROM before_start WHERE metric = ? AND labels = ?", where
    ).fetchone()
    if row is None:
        return False
    value, buckets = row
    if metric.kind is Kind.HISTOGRAM:
        counts = json.loads(buckets)
        counts[bisect.bisect_left(metric.buckets, amount / metric.scale)] -= 1
        if min(counts) < 0:
            return True
        buckets = json.dumps(counts)
    connection.execute(
        "UPDATE before_start SET value = ?, buckets = ? WHERE metric = ? AND labels = ?",
        (max(0, value - amount), buckets, *where),
    )
    return True
