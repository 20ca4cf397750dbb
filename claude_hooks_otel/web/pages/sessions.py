"""The list of sessions behind a number: what each used in the range, with search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from claude_hooks_otel.formats import dollars, duration, number
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.breakdown import COLUMNS
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.report.sessions import (
    SessionRow,
    SessionTimes,
    Spending,
    read_some_sessions,
    read_spending,
    read_times,
    sessions_with,
)
from claude_hooks_otel.series.aggregates import buckets
from claude_hooks_otel.units import DOLLAR, SECOND
from claude_hooks_otel.web.question import session_path
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page, View

# Sessions on one page.
PAGE: Final = 50
# The beginning of a session's id that the list shows, as git shows commits.
ID_LENGTH: Final = 8
# A search reads so many sessions of the range, the newest first.
SEARCHED: Final = 5_000
_NOTHING: Final = Spending(0, 0, 0, 0)
_COST: Final = next(column for column in COLUMNS if column.name == "cost_usd")
# Filters that divide no cost. The sessions that have them are listed with their whole cost.
_OTHERS: Final = ("tool",)


@dataclass(frozen=True, slots=True)
class Listed:
    """A session of the list, and what it used in the range."""

    times: SessionTimes
    used: Spending


_ORDERS: Final[Mapping[str, Callable[[Listed], Any]]] = {
    "began": lambda each: each.times.began_ns,
    "cost": lambda each: each.used.cost or 0,
    "output": lambda each: each.used.tokens_out,
    "requests": lambda each: each.used.requests,
    "length": lambda each: each.times.seen_ns - each.times.began_ns,
}


def build(view: View) -> Page:
    """Return the page."""
    order = view.parameters.get("sort", "began")
    order = order if order in _ORDERS else "began"
    search = view.parameters.get("q", "").strip()
    listed = _listed(view)
    chosen = sorted(_found(view, listed, search), key=_ORDERS[order], reverse=True)
    pages = max(1, -(-len(chosen) // PAGE))
    text = view.parameters.get("page", "1")
    page = min(max(1, int(text) if text.isdecimal() and len(text) < 9 else 1), pages)
    shown = chosen if view.is_export else chosen[(page - 1) * PAGE : page * PAGE]
    rows = {
        row.session_id: row for row in read_some_sessions(view.connection, [each.times.session_id for each in shown])
    }
    pairs = [(rows[each.times.session_id], each.used) for each in shown if each.times.session_id in rows]
    table = _table(view, pairs, order, search)
    table.records = [_record(row, used) for row, used in pairs]
    table.empty = _empty(search, listed)
    if search and len(listed) > SEARCHED:
        table.note = f"The search has read the newest {SEARCHED:,} of {len(listed):,} sessions. Choose an earlier range to reach older ones."
    more = {"sort": order} | ({"q": search} if search else {})
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
            "previous": view.question.url("/sessions", page=str(page - 1), **more) if page > 1 else None,
            "following": view.question.url("/sessions", page=str(page + 1), **more) if page < pages else None,
            **_sums(view, chosen, is_all=not search),
        },
    )


def _listed(view: View) -> list[Listed]:
    """Return the sessions that were open in the range and that the filters leave, with what each used."""
    within, only = view.question.within, view.question.only
    divided = {name: values for name, values in only.items() if name not in _OTHERS}
    name = (
        "spending",
        buckets(within.since_ns, within.until_ns),
        tuple(sorted((group, *values) for group, values in divided.items())),
    )
    spending = view.memory.keep(name, view.version, lambda: read_spending(view.connection, within, divided))
    wanted = [sessions_with(view.connection, within, group, only[group]) for group in _OTHERS if only.get(group)]
    found = []
    for times in view.memory.keep("times", view.version, lambda: read_times(view.connection)):
        used = spending.get(times.session_id)
        if used is None and not (_is_open(times, within) and _is_of(times, divided)):
            continue
        if all(times.session_id in some for some in wanted):
            found.append(Listed(times, used or _NOTHING))
    return found


def _is_open(times: SessionTimes, within: Range) -> bool:
    return times.seen_ns >= within.since_ns and times.began_ns < within.until_ns


def _is_of(times: SessionTimes, only: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a session that used nothing in the range belongs to the filters."""
    known = {"agent": times.agent, "project": times.project}
    return all(name in known and normalize(known[name]) in map(normalize, values) for name, values in only.items())


def _found(view: View, listed: Sequence[Listed], search: str) -> Sequence[Listed]:
    """Return the sessions that a search finds, in their id, agent, project, branch, model, end or first words, of the newest SEARCHED."""
    if not search:
        return listed
    wanted = search.casefold()
    newest = sorted(listed, key=_ORDERS["began"], reverse=True)[:SEARCHED]
    ids = [each.times.session_id for each in newest]
    rows = {row.session_id: row for row in read_some_sessions(view.connection, ids)}

    def matches(row: SessionRow) -> bool:
        texts = (row.session_id, row.agent, row.project, row.branch, row.model, row.outcome, row.first_words)
        return any(wanted in text.casefold() for text in texts if text)

    return [each for each in newest if each.times.session_id in rows and matches(rows[each.times.session_id])]


def _sums(view: View, chosen: Sequence[Listed], *, is_all: bool) -> dict[str, Any]:
    """Return the cost of the listed sessions, and what the report has on top of it, which belongs to no listed session."""
    cost = sum(each.used.cost or 0 for each in chosen)
    rest = 0
    if is_all and not any(view.question.only.get(name) for name in _OTHERS):
        rest = view.by().total.amounts.get(_COST.name, 0) - cost
    return {
        "cost": dollars(cost / DOLLAR),
        "exact_cost": cost / DOLLAR,
        "rest": dollars(rest / DOLLAR) if rest > 0 else "",
        "report": dollars((cost + rest) / DOLLAR),
    }


def _table(view: View, rows: Sequence[tuple[SessionRow, Spending]], order: str, search: str) -> Table:
    def head(title: str, name: str, hint: str = "") -> Head:
        more = {"q": search, "sort": name} if search else {"sort": name}
        return Head(title, True, hint, view.question.url("/sessions", **more), "descending" if name == order else "")

    heads = [
        Head("session", is_number=False), Head("began", False, "", head("", "began").href, "descending" if order == "began" else ""),
        Head("agent", is_number=False), Head("project", is_number=False), Head("model", is_number=False),
        head("cost", "cost", "In the range"), Head("turns", hint="In the whole session"), head("requests", "requests", "In the range"),
        head("output", "output", "Tokens in the range"), head("length", "length", "Of the whole session"), Head("end", is_number=False),
    ]  # fmt: skip
    table = Table("sessions", "Sessions", heads)
    highest = max((used.cost or 0 for _, used in rows), default=0)
    for row, used in rows:
        table.rows.append(_cells(view, row, used, highest))
    return table


def _cells(view: View, row: SessionRow, used: Spending, highest: int) -> list[Cell]:
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
        Cell(duration(seconds), seconds), Cell(row.outcome.replace("_", " "), tone=tone, badge=True),
    ]  # fmt: skip


def _record(row: SessionRow, used: Spending) -> dict[str, Any]:
    cost = None if used.cost is None else used.cost / DOLLAR
    in_range = {"requests": used.requests, "tokens_in": used.tokens_in, "tokens_out": used.tokens_out, "cost_usd": cost}
    return asdict(row) | {f"range_{name}": value for name, value in in_range.items()}


def _empty(search: str, found: Sequence[Listed]) -> str:
    if search and found:
        return f"None of {min(len(found), SEARCHED):,} sessions matches the search. It looks at id, agent, project, branch, model, end and first words."
    return "No session was open in this range. Choose a longer range, or take a filter away."
