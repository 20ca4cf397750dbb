"""What runs now, as it changes."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from claude_hooks_otel.formats import dollars, duration
from claude_hooks_otel.report import live
from claude_hooks_otel.units import DOLLAR, SECOND
from claude_hooks_otel.web.question import session_path
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page

TITLES: Final = ("session", "agent", "project", "model", "state", "tool", "context", "cost", "started")
# State → its tone.
_TONES: Final = {"thinking": "info", "tool": "info", "waiting for permission": "warn", "idle": "quiet"}
# From so many percent on, a context is nearly full.
NEARLY_FULL: Final = 80


def build(connection: sqlite3.Connection, now_ns: int) -> Page:
    """Return the page."""
    rows = [_row(each, now_ns) for each in live.now(connection, now_ns)]
    table = Table("live", "Running sessions", [Head(title, is_number=False) for title in TITLES])
    for row in rows:
        record = row["record"]
        table.records.append(record)
        table.rows.append(
            [Cell(str(record[name] or "")) for name in ("session_id", "agent", "project", "model", "state")]
        )
    waiting = sum(row["state"] == "waiting for permission" for row in rows)
    working = sum(row["state"] in ("thinking", "tool") for row in rows)
    cost = sum(row["record"]["cost_usd"] or 0 for row in rows)
    sums = {"running": len(rows), "working": working, "waiting": waiting, "cost": dollars(cost)}
    return Page("live", "Live", {table.name: table}, {"sessions": rows, **sums})


def _row(each: live.LiveSession, now_ns: int) -> dict[str, Any]:
    """Return a session as the template shows it. ``since`` are Unix seconds, which the script counts on."""
    cost = None if each.cost is None else each.cost / DOLLAR
    record = {
        "session_id": each.session_id, "agent": each.agent, "project": each.project, "model": each.model, "state": str(each.state),
        "state_since_ns": each.state_since_ns, "tool": each.tool, "tool_since_ns": each.tool_since_ns,
        "context_percent": each.context_percent, "cost_usd": cost, "started_ns": each.started_ns,
    }  # fmt: skip
    return {
        "record": record,
        "href": session_path(each.session_id),
        "id": each.session_id[:8],
        "agent": each.agent or "–",
        "project": each.project or "–",
        "model": (each.model or "–").removeprefix("claude-"),
        "state": str(each.state),
        "tone": _TONES.get(str(each.state), "quiet"),
        "state_since": each.state_since_ns / SECOND,
        "state_for": duration((now_ns - each.state_since_ns) / SECOND),
        "tool": each.tool or "",
        "context": each.context_percent,
        "is_nearly_full": (each.context_percent or 0) >= NEARLY_FULL,
        "cost": "unknown" if cost is None else dollars(cost),
        "started": each.started_ns / SECOND,
        "runs_for": duration((now_ns - each.started_ns) / SECOND),
    }
