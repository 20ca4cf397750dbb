"""Facts from the status line, and what they say now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.identities import IdentityResolver
from claude_hooks_otel.facts.repository import FactReader, Facts
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.sources.captured import CapturedStatus
from claude_hooks_otel.sources.status_input import config_folder
from claude_hooks_otel.sources.status_readings import StatusReading
from claude_hooks_otel.units import DOLLAR, SECOND

# What a name of a limit looks like. It becomes a label.
_WINDOW: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class StatusReader:
    """Reads statuses into facts, inside the caller's transaction.

    Args:
        facts: gets the facts.
        resolve: returns the identity that a status counts for.
    """

    def __init__(self, facts: Facts, resolve: IdentityResolver) -> None:
        self._facts = facts
        self._resolve = resolve

    def read(self, captured: CapturedStatus) -> None:
        """Read one status. One that was read before changes nothing."""
        status, headers = captured.status, captured.envelope.headers
        known = self._facts.identities.at(status.session_id, status.at)
        identity = known or self._resolve(headers, headers.get("project_directory") or status.cwd)
        self._facts.upsert(*facts_of(status, identity))


def facts_of(status: StatusReading, identity: Identity) -> Iterator[model.Fact]:
    """Yield the facts in a status."""
    cost, context = status.cost, status.context_window
    yield model.StatusReading(
        session_id=status.session_id,
        at_ns=status.at,
        model=status.model,
        context_basis_points=_basis_points(context.used_percentage),
        context_size=context.context_window_size or None,
        cost=None if cost.total_cost_usd is None else round(cost.total_cost_usd * DOLLAR),
        lines_added=cost.total_lines_added,
        lines_removed=cost.total_lines_removed,
        **identity.columns(),
    )
    for name, window in status.rate_limits.items():
        used = _basis_points(window.used_percentage)
        if used is not None and window.resets_at is not None and _WINDOW.fullmatch(name):
            yield model.LimitReading(
                config_folder=config_folder(status.transcript_path),
                limit_window=name,
                resets_ns=round(window.resets_at * SECOND),
                used_basis_points=used,
                at_ns=status.at,
                **identity.columns(),
            )


def _basis_points(percent: float | None) -> int | None:
    return None if percent is None else round(percent * 100)


def current_limits(facts: FactReader, now_ns: int) -> dict[str, dict[str, model.LimitReading]]:
    """Return configuration folder → window → the newest reading, of the windows that have not begun again at a time, Unix nanoseconds."""
    found: dict[str, dict[str, model.LimitReading]] = {}
    for reading in facts.select(model.LimitReading, "resets_ns > ? ORDER BY at_ns, used_basis_points", now_ns):
        found.setdefault(reading.config_folder, {})[reading.limit_window] = reading
    return found


def context_size(facts: FactReader, session_id: str) -> int | None:
    """Return the size of a session's context window as the client last said, in tokens; None if no status line did."""
    found = _newest(facts, session_id, "context_size")
    return found.context_size if found else None


def context_basis_points(facts: FactReader, session_id: str) -> int | None:
    """Return how full a session's context window was as the client last said, hundredths of a percent; None if no status line did."""
    found = _newest(facts, session_id, "context_basis_points")
    return found.context_basis_points if found else None


def _newest(facts: FactReader, session_id: str, field: str) -> model.StatusReading | None:
    where = f"session_id = ? AND {field} IS NOT NULL ORDER BY at_ns DESC LIMIT 1"
    return next(iter(facts.select(model.StatusReading, where, session_id)), None)
