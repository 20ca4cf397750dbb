"""Gauges about sessions, computed from the facts when series are exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.context import context_window
from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import Labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.timeline import IN_USE_FOR, KILLED_AFTER


def gauges(facts: FactReader, now_ns: int) -> Iterator[SeriesPoint]:
    """Yield the gauges about sessions at a time, Unix nanoseconds.

    Without an active session, the number of active sessions is 0, and the context usage is left out.
    """
    active: Counter[Labels] = Counter()
    fullest: dict[Labels, int] = {}
    clients: set[Labels] = set()
    for session in facts.select(model.Session, "last_seen_ns > ?", now_ns - IN_USE_FOR):
        labels = session.labels()
        client = {"version": session.client_version, "entrypoint": session.entrypoint}
        clients.add(session.labels(**client, terminal_type=session.terminal))
        active[labels] += 0
        if (session.last_seen_ns or 0) < now_ns - KILLED_AFTER or _has_ended(facts, session):
            continue
        active[labels] += 1
        window = context_window(session.model) if session.model else None
        if session.context_tokens is not None and window:
            percent = min(100, round(100 * session.context_tokens / window))
            fullest[labels] = max(fullest.get(labels, 0), percent)
    measured = facts.select(model.SuiteRun, "coverage_basis_points IS NOT NULL ORDER BY at_ns")
    for metric, values in (
        (catalog.SESSIONS_ACTIVE, active),
        (catalog.CONTEXT_USAGE, fullest),
        (catalog.TEST_COVERAGE, {run.labels(): run.coverage_basis_points or 0 for run in measured}),
        (catalog.CLIENT_INFO, dict.fromkeys(clients, 1)),
    ):
        yield from (SeriesPoint(metric, labels, now_ns, value) for labels, value in values.items())


def _has_ended(facts: FactReader, session: model.Session) -> bool:
    entries = facts.ledger.entries(session.session_id, "SessionStart", "SessionEnd")
    return bool(entries) and entries[-1].event == "SessionEnd"
