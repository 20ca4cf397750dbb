"""One session: what it was, its cost and context over time, and its turns as a waterfall."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.formats import dollars, duration, number, precise_duration
from claude_hooks_otel.report.sessions import SessionRow, find_session, read_some_sessions, read_timeline
from claude_hooks_otel.units import SECOND
from claude_hooks_otel.web.question import session_path
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page, View
from claude_hooks_otel.web.waterfall import TURNS, course, read_turns

# What the legend of the waterfall says.
KINDS = {
    "request": "request to the model",
    "tool": "tool call",
    "wait": "wait for you",
    "subagent": "sub-agent",
}


def build(view: View, session_id: str) -> Page | None:
    """Return the page of a session; None if there is none with this id."""
    ids = find_session(view.connection, session_id)
    row = next(iter(read_some_sessions(view.connection, ids if len(ids) == 1 else ())), None)
    if row is None:
        return None
    facts = FactReader(view.connection)
    text = view.parameters.get("page", "1")
    page = max(1, int(text)) if text.isdecimal() and len(text) < 9 else 1
    turns, known = read_turns(facts, row.session_id, page, is_over=row.outcome != "open")
    pages = max(1, -(-known // TURNS))
    path = session_path(row.session_id)
    table = _steps(view, row)
    return Page(
        "session",
        f"Session {row.session_id[:8]}",
        {table.name: table},
        {
            "row": row,
            "path": path,
            "facts": _facts(view, row),
            "turns": turns,
            "known": known,
            "page": page,
            "pages": pages,
            "previous": f"{path}?page={page - 1}" if page > 1 else None,
            "following": f"{path}?page={page + 1}" if page < pages else None,
            "kinds": KINDS,
            "seconds_text": precise_duration,
            "dollars": dollars,
            "clock": lambda at_ns: f"{view.question.within.local(at_ns):%H:%M:%S}",
            "day": lambda at_ns: f"{view.question.within.local(at_ns):%Y-%m-%d}",
            "chart": course(facts, row.session_id),
        },
    )


def _facts(view: View, row: SessionRow) -> list[tuple[str, str, str | None]]:
    """Return what the head of the page says: names, texts, and addresses."""
    local = view.question.within.local
    question = view.question
    found: list[tuple[str, str, str | None]] = [
        ("Cost", "unknown" if row.cost is None else dollars(row.cost), None),
        ("Turns", f"{row.turns:,}", None),
        ("Requests", f"{row.requests:,}", None),
        ("Tokens in", number(row.tokens_in), None),
        ("Tokens out", number(row.tokens_out), None),
        ("Length", duration((row.seen_ns - row.began_ns) / SECOND), None),
        ("Agent", row.agent or "–", question.url_of("/sessions", {"agent": row.agent}) if row.agent else None),
        (
            "Project",
            row.project or "–",
            question.url_of("/sessions", {"project": row.project}) if row.project else None,
        ),
        ("Branch", row.branch or "–", None),
        ("Model", (row.model or "–").removeprefix("claude-"), None),
        ("Began", f"{local(row.began_ns):%Y-%m-%d %H:%M}", None),
        ("End", row.outcome.replace("_", " "), None),
    ]
    return found


def _steps(view: View, row: SessionRow) -> Table:
    """Return everything that happened, in order, as ``sessions ID`` prints it."""
    heads = [
        *(Head(title, is_number=False) for title in ("time", "step", "who", "what")),
        *(Head(title) for title in ("took", "cost", "so far")),
    ]
    table = Table("steps", "Step by step", heads, empty="Nothing of this session has a time.")
    so_far = 0.0
    for step in read_timeline(view.connection, row.session_id):
        so_far += step.cost or 0
        texts = (f"{view.question.within.local(step.at_ns):%H:%M:%S}", step.kind, step.who, step.what)
        took, cost = (
            precise_duration(step.seconds) if step.seconds is not None else "",
            "" if step.cost is None else dollars(step.cost),
        )
        table.rows.append(
            [*(Cell(text) for text in texts), Cell(took, step.seconds), Cell(cost, step.cost), Cell(dollars(so_far))]
        )
        record: dict[str, Any] = asdict(step)
        table.records.append(record)
    return table
