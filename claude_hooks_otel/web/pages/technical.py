"""The technical page: tokens, requests, latency, tools, errors, permissions and context."""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.formats import number, percent, precise_duration, share
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.report.breakdown import COLUMNS, Breakdown, Column, Figures
from claude_hooks_otel.report.figures import figure_text
from claude_hooks_otel.report.tool_names import tool_name
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.web.charts import stacked
from claude_hooks_otel.web.pages.overview import Headline
from claude_hooks_otel.web.tables import Cell, Head, Table, breakdown_table, figures_table
from claude_hooks_otel.web.view import Page, View

_TOKENS: Final = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cache_hit_share", "requests", "errors", "cost_usd",
)  # fmt: skip


def _calls(name: str, title: str, **labels: str) -> Column:
    return Column(name, title, ((catalog.TOOL_CALLS, labels),))


TOOLS: Final = (
    _calls("calls", "calls"),
    _calls("success", "succeeded", outcome="success"),
    _calls("error", "failed", outcome="error"),
    Column(
        "refused",
        "refused",
        ((catalog.TOOL_CALLS, {"outcome": "rejected"}), (catalog.TOOL_CALLS, {"outcome": "denied"})),
    ),
    Column(
        "other",
        "other",
        ((catalog.TOOL_CALLS, {"outcome": "interrupted"}), (catalog.TOOL_CALLS, {"outcome": "invalid"})),
    ),
)
_TIMED: Final = Column("timed", "timed", ((catalog.TOOL_DURATION, {}),), is_number=True)
_RUNNING: Final = Column("seconds", "time", ((catalog.TOOL_DURATION, {}),), "seconds")
_TURNS: Final = Column("turns", "turns", ((catalog.TURN_DURATION, {}),), is_number=True)
_TURN_TIME: Final = Column("turn_seconds", "time", ((catalog.TURN_DURATION, {}),), "seconds")
_WAITS: Final = Column("waits", "waits", ((catalog.PERMISSION_WAIT, {}),), is_number=True)
_WAIT_TIME: Final = Column("wait_seconds", "time", ((catalog.PERMISSION_WAIT, {}),), "seconds")
SPEED: Final = (_TURNS, _TURN_TIME, _TIMED, _RUNNING, _WAITS, _WAIT_TIME)
FAULTS: Final = (
    Column("turn_failures", "turns without an answer", ((catalog.TURN_FAILURES, {}),)),
    Column("request_errors", "request errors", ((catalog.API_REQUESTS, {"outcome": "error"}),)),
    Column("tool_errors", "tool errors", ((catalog.TOOL_CALLS, {"outcome": "error"}),)),
    Column("compactions", "compactions", ((catalog.COMPACTIONS, {}),)),
    Column("permission_requests", "permission requests", ((catalog.PERMISSION_REQUESTS, {}),)),
)
_CALLS: Final = next(column for column in COLUMNS if column.name == "tool_calls")
_ERRORS: Final = next(column for column in COLUMNS if column.name == "errors")


def build(view: View) -> Page:
    """Return the page."""
    question = view.question
    models = breakdown_table("models", "Tokens and requests by model", view.by("model"), question, shown=_TOKENS)
    kinds = breakdown_table(
        "agent-types", "Main conversation and sub-agents", view.by("agent-type"), question, shown=_TOKENS
    )
    kinds.note = "auxiliary: the client's own requests, such as titles and compaction."
    faults = figures_table("faults", "Errors and interruptions", view.by("agent", columns=FAULTS), question)
    faults.empty = "No errors, compactions or permission requests in this range."
    chart = stacked(view.by(question.step, "tool", columns=(_CALLS,)), _CALLS, question)
    return Page(
        "technical",
        "Technical",
        {table.name: table for table in (models, kinds, _tools(view), faults, _context(view))},
        {
            "headlines": _headlines(view),
            "chart": chart,
            "chart_title": f"Tool calls by {question.step}",
        },
    )


def _headlines(view: View) -> list[Headline]:
    total = view.by(columns=(*COLUMNS, *SPEED)).total
    requests = next(column for column in COLUMNS if column.name == "requests")
    href = view.question.url("/sessions")
    return [
        Headline("Requests", figure_text(total, requests), total.value(requests), "", "", href),
        Headline("Errors", number(total.amounts.get("errors", 0)), total.value(_ERRORS), "", "", href),
        Headline("Mean turn", *_mean(total, _TURN_TIME, _TURNS), "", "", href),
        Headline("Mean tool call", *_mean(total, _RUNNING, _TIMED), "", "", href),
        Headline("Mean wait for you", *_mean(total, _WAIT_TIME, _WAITS), "", "", href),
    ]


def _mean(figures: Figures, time: Column, count: Column) -> tuple[str, float | None]:
    counted = figures.amounts.get(count.name, 0)
    seconds = (figures.value(time) or 0) / counted if counted else None
    return precise_duration(seconds), seconds


def _tools(view: View) -> Table:
    found: Breakdown = view.by("tool", columns=(*TOOLS, _TIMED, _RUNNING))
    heads = [
        Head("tool", is_number=False),
        *(Head(column.title) for column in TOOLS),
        Head("success"),
        Head("mean"),
        Head("total time"),
    ]
    table = Table("tools", "Tools", heads, empty="No tool was called in this range.")
    highest = max((row.amounts.get("calls", 0) for row in found.rows.values()), default=0)
    for group, row in sorted(found.rows.items(), key=lambda each: (-each[1].amounts.get("calls", 0), each[0])):
        calls, ok = row.amounts.get("calls", 0), row.amounts.get("success", 0)
        if not calls:
            continue
        text, mean = _mean(row, _RUNNING, _TIMED)
        href = view.question.url_of("/sessions", {"tool": group[0]})
        cells = [Cell(figure_text(row, column), row.amounts.get(column.name)) for column in TOOLS]
        cells[0] = Cell(cells[0].text, calls, href, calls / highest)
        seconds = row.value(_RUNNING)
        last = [Cell(share(ok / calls), ok / calls), Cell(text, mean), Cell(precise_duration(seconds), seconds)]
        table.rows.append([Cell(tool_name(group[0]), group[0], href), *cells, *last])
        counts = {column.name: row.amounts.get(column.name, 0) for column in TOOLS}
        table.records.append({"tool": group[0]} | counts | {"mean_seconds": mean, "seconds": seconds})
    return table


def _context(view: View) -> Table:
    """Return how full the context of active sessions is."""
    heads = [Head("agent", is_number=False), Head("project", is_number=False), Head("context in use")]
    table = Table("context", "Context of active sessions", heads, empty="No session was active in the last 30 minutes.")
    for point in gauges(FactReader(view.connection), view.question.now_ns):
        if point.metric is not catalog.CONTEXT_USAGE:
            continue
        labels = dict(point.labels)
        cells = [Cell(labels[name], labels[name]) for name in ("agent", "project")]
        table.rows.append([*cells, Cell(percent(point.value), point.value, "/live", point.value / 100)])
        table.records.append({"agent": labels["agent"], "project": labels["project"], "context_percent": point.value})
    return table
