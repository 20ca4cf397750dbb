"""What is true at this moment rather than adds up: computed from the facts whenever series are exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.context import context_window
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import Labels, normalize
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.timeline import IN_USE_FOR, KILLED_AFTER


def gauges(facts: Facts, now_ns: int) -> Iterator[SeriesPoint]:
    """The gauges about sessions, as of now.

    A label set that had a value earlier and has none now is given as 0 where zero is a fact (nobody active), and left out where
    it would be a claim (no context to be full).
    """
    active: Counter[Labels] = Counter()
    fullest: dict[Labels, int] = {}
    clients: set[Labels] = set()
    for session in facts.select(model.Session, "last_seen_ns > ?", now_ns - IN_USE_FOR):
        labels = session.labels()
        clients.add(
            tuple(
                sorted(
                    (
                        *labels,
                        ("version", normalize(session.client_version)),
                        ("entrypoint", normalize(session.entrypoint)),
                    )
                )
            )
        )
        active[labels] += 0
        if (session.last_seen_ns or 0) < now_ns - KILLED_AFTER or _has_ended(facts, session):
            continue
        active[labels] += 1
        window = context_window(session.model) if session.model else None
        if session.context_tokens is not None and window:
            percent = min(100, round(100 * session.context_tokens / window))
            fullest[labels] = max(fullest.get(labels, 0), percent)
    yield from (_point(catalog.SESSIONS_ACTIVE, labels, count, now_ns) for labels, count in active.items())
    yield from (_point(catalog.CONTEXT_USAGE, labels, percent, now_ns) for labels, percent in fullest.items())
    yield from _coverage(facts, now_ns)
    yield from (_point(catalog.CLIENT_INFO, labels, 1, now_ns) for labels in clients)


def _coverage(facts: Facts, now_ns: int) -> Iterator[SeriesPoint]:
    newest: dict[Labels, int] = {}
    for run in facts.select(model.SuiteRun, "coverage_basis_points IS NOT NULL ORDER BY at_ns"):
        newest[run.labels()] = run.coverage_basis_points or 0
    return (_point(catalog.TEST_COVERAGE, labels, value, now_ns) for labels, value in newest.items())


def _has_ended(facts: Facts, session: model.Session) -> bool:
    entries = facts.ledger.entries(session.session_id, "SessionStart", "SessionEnd")
    return bool(entries) and entries[-1].event == "SessionEnd"


def _point(metric: Metric, labels: Labels, value: int, now_ns: int) -> SeriesPoint:
    return SeriesPoint(metric, labels, now_ns, value)
