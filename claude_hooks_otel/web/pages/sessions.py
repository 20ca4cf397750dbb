"""The list of sessions behind a number: what each used in the range, with search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.breakdown import COLUMNS, Figures
from claude_hooks_otel.report.figures import dollars, number
from claude_hooks_otel.report.sessions import (
    SPENDING_GROUPS,
    SessionRow,
    Spending,
    read_sessions,
    read_spending,
    sessions_with_tool,
)
from claude_hooks_otel.units import DOLLAR, SECOND, duration_text
from claude_hooks_otel.web.question import session_path
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page, View

# Sessions on one page.
PAGE: Final = 50
# The beginning of a session's id that the list shows, as git shows commits.
ID_LENGTH: Final = 8
_NOTHING: Final = Spending(0, 0, 0, 0)
_COST: Final = next(column for column in COLUMNS if column.name == "cost_usd")
# Filters that every figure has. With others, the cost of the whole is not known.
_DIVIDED: Final = frozenset(SPENDING_GROUPS)


@dataclass(frozen=True, slots=True)
class Listed:
    """A session of the list, and what it used in the range."""

    row: SessionRow
    used: Spending


_ORDERS: Final[Mapping[str, Callable[[Listed], Any]]] = {
    "began": lambda each: each.row.began_ns,
    "cost": lambda each: each.used.cost or 0,
    "output": lambda each: each.used.tokens_out,
    "requests": lambda each: each.used.requests,
    "turns": lambda each: each.row.turns,
    "length": lambda each: each.row.seen_ns - each.row.began_ns,
}


def build(view: View) -> Page:
    """Return the page."""
    order = view.parameters.get("sort", "began")
    order = order if order in _ORDERS else "began"
    search = view.parameters.get("q", "").strip()
    found = listed(view)
    chosen = sorted((each for each in found if _matches(each.row, search)), key=_ORDERS[order], reverse=True)
    pages = max(1, -(-len(chosen) // PAGE))
    text = view.parameters.get("page", "1")
    page = min(max(1, int(text) if text.isdecimal() and len(text) < 9 else 1), pages)
    table = _table(view, chosen[(page - 1) * PAGE : page * PAGE], order, search)
    table.records = [_record(each) for each in chosen]
    table.empty = _empty(search, found)
    more = {"q": search} if search else {}
    sums = _sums(view, chosen, is_all=not search)
    return Page(
        "sessions",
        "Sessions",
        {table.name: table},
        {
            "search": search,
            "order": order,
            "known": len(chosen),
            "page": page,
            "pages": pages,
            "previous": view.question.url("/sessions", sort=order, page=str(page - 1), **more) if page > 1 else None,
            "following": view.question.url("/sessions", sort=order, page=str(page + 1), **more)
            if page < pages
            else None,
            **sums,
        },
    )


def listed(view: View) -> list[Listed]:
    """Return the sessions that were open in the range and that the filters leave, with what each used."""
    only = {name: values for name, values in view.question.only.items() if values}
    spending = read_spending(
        view.connection, view.question.within, {name: only[name] for name in only if name != "tool"}
    )
    with_tool = None
    if tools := only.get("tool"):
        with_tool = sessions_with_tool(view.connection, view.question.within, tools)
    found = []
    for row in read_sessions(view.connection, view.question.within):
        used = spending.get(row.session_id)
        if (used or _is_of(row, only)) and (with_tool is None or row.session_id in with_tool):
            found.append(Listed(row, used or _NOTHING))
    return found


def _is_of(row: SessionRow, only: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a session without requests in the range belongs to the filters."""
    known = {"agent": row.agent, "project": row.project}
    return all(
        name == "tool" or (name in known and normalize(known[name]) in map(normalize, values))
        for name, values in only.items()
    )


def _matches(row: SessionRow, search: str) -> bool:
    wanted = search.casefold()
    texts = (row.session_id, row.agent, row.project, row.branch, row.model, row.outcome, row.first_words)
    return not wanted or any(wanted in text.casefold() for text in texts if text)


def _sums(view: View, chosen: Sequence[Listed], *, is_all: bool) -> dict[str, Any]:
    """Return the cost of the listed sessions, and what the report has on top of it, which belongs to no listed session."""
    cost = sum(each.used.cost or 0 for each in chosen)
    total: Figures = view.by().total
    rest = 0
    if is_all and view.question.only.keys() <= _DIVIDED:
        rest = total.amounts.get(_COST.name, 0) - cost
    return {
        "cost": dollars(cost / DOLLAR),
        "exact_cost": cost / DOLLAR,
        "rest": dollars(rest / DOLLAR) if rest > 0 else "",
        "report": dollars((cost + rest) / DOLLAR),
    }


def _table(view: View, rows: Sequence[Listed], order: str, search: str) -> Table:
    def head(title: str, name: str, hint: str = "") -> Head:
        more = {"q": search, "sort": name} if search else {"sort": name}
        return Head(title, True, hint, view.question.url("/sessions", **more), "descending" if name == order else "")

    heads = [
        Head("session", is_number=False), Head("began", False, "", head("", "began").href, "descending" if order == "began" else ""),
        Head("agent", is_number=False), Head("project", is_number=False), Head("model", is_number=False),
        head("cost", "cost", "In the range"), head("turns", "turns", "In the whole session"), head("requests", "requests", "In the range"),
        head("output", "output", "Tokens in the range"), head("length", "length", "Of the whole session"), Head("end", is_number=False),
    ]  # fmt: skip
    table = Table("sessions", "Sessions", heads)
    highest = max((each.used.cost or 0 for each in rows), default=0)
    for each in rows:
        table.rows.append(_cells(view, each, highest))
    return table


def _cells(view: View, each: Listed, highest: int) -> list[Cell]:
    row, used = each.row, each.used
    href = session_path(row.session_id)
    seconds = (row.seen_ns - row.began_ns) / SECOND
    cost = "unknown" if used.cost is None else dollars(used.cost / DOLLAR)
    tone = {"killed": "warn", "open": "good"}.get(row.outcome, "quiet")
    return [
        Cell(row.session_id[:ID_LENGTH], row.session_id, href, note=row.first_words or ""),
        Cell(f"{view.question.within.local(row.began_ns):%Y-%m-%d %H:%M}", row.began_ns),
        Cell(row.agent or "–"), Cell(row.project or "–"), Cell((row.model or "–").removeprefix("claude-")),
        Cell(cost, used.cost, share=(used.cost or 0) / highest if highest else None), Cell(f"{row.turns:,}", row.turns),
        Cell(f"{used.requests:,}", used.requests), Cell(number(used.tokens_out), used.tokens_out),
        Cell(duration_text(seconds), seconds), Cell(row.outcome.replace("_", " "), tone=tone, badge=True),
    ]  # fmt: skip


def _record(each: Listed) -> dict[str, Any]:
    used = each.used
    cost = None if used.cost is None else used.cost / DOLLAR
    in_range = {"requests": used.requests, "tokens_in": used.tokens_in, "tokens_out": used.tokens_out, "cost_usd": cost}
    return asdict(each.row) | {f"range_{name}": value for name, value in in_range.items()}


def _empty(search: str, found: Sequence[Listed]) -> str:
    if search and found:
        return f"None of {len(found):,} sessions matches the search. It looks at id, agent, project, branch, model, end and first words."
    return "No session was open in this range. Choose a longer range, or take a filter away."
