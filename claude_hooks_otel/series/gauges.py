"""Gauges about sessions, computed from the facts when series are exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from claude_hooks_otel.facts import from_status_lines, model
from claude_hooks_otel.facts.context import context_window
from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import Labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.sources.status_input import config_folder
from claude_hooks_otel.timeline import IN_USE_FOR, KILLED_AFTER


def gauges(facts: FactReader, now_ns: int) -> Iterator[SeriesPoint]:
    """Yield the gauges about sessions at a time, Unix nanoseconds.

    Without an active session, the number of active sessions is 0, and the context usage is left out.
    """
    limits = from_status_lines.current_limits(facts, now_ns)
    used: dict[Labels, int] = {}
    resets: dict[Labels, int] = {}
    active: Counter[Labels] = Counter()
    fullest: dict[Labels, int] = {}
    clients: set[Labels] = set()
    for session in facts.select(model.Session, "last_seen_ns > ?", now_ns - IN_USE_FOR):
        labels = session.labels()
        client = {"version": session.client_version, "entrypoint": session.entrypoint}
        clients.add(session.labels(**client, terminal_type=session.terminal))
        active[labels] += 0
        for window, limit in limits.get(config_folder(session.transcript_path), {}).items():
            used[session.labels(window=window)] = limit.used_basis_points
            resets[session.labels(window=window)] = limit.resets_ns
        if (session.last_seen_ns or 0) < now_ns - KILLED_AFTER or _has_ended(facts, session):
            continue
        active[labels] += 1
        if (percent := _context_percent(facts, session)) is not None:
            fullest[labels] = max(fullest.get(labels, 0), percent)
    measured = facts.select(model.SuiteRun, "coverage_basis_points IS NOT NULL ORDER BY at_ns")
    for metric, values in (
        (catalog.SESSIONS_ACTIVE, active),
        (catalog.CONTEXT_USAGE, fullest),
        (catalog.RATE_LIMIT_USED, used),
        (catalog.RATE_LIMIT_RESET, resets),
        (catalog.TEST_COVERAGE, {run.labels(): run.coverage_basis_points or 0 for run in measured}),
        (catalog.CLIENT_INFO, dict.fromkeys(clients, 1)),
    ):
        yield from (SeriesPoint(metric, labels, now_ns, value) for labels, value in values.items())


def _context_percent(facts: FactReader, session: model.Session) -> int | None:
    """Return how full a session's context window is. The client knows its size best; only the transcript has every answer."""
    window = from_status_lines.context_size(facts, session.session_id) or _size_by_name(session.model)
    if session.context_tokens is not None and window:
        return min(100, round(100 * session.context_tokens / window))
    points = from_status_lines.context_basis_points(facts, session.session_id)
    return None if points is None else min(100, round(points / 100))


def _size_by_name(name: str | None) -> int | None:
    return context_window(name) if name else None


def _has_ended(facts: FactReader, session: model.Session) -> bool:
    entries = facts.ledger.entries(session.session_id, "SessionStart", "SessionEnd")
    return bool(entries) and entries[-1].event == "SessionEnd"
