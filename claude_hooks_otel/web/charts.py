"""What a chart of the page shows, as the script of the page reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from claude_hooks_otel.report.breakdown import Breakdown, Column
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.report.tool_names import shown as shown_as
from claude_hooks_otel.web.question import Question

# So many groups have a colour of their own. The others are one.
MOST_SERIES: Final = 5
OTHERS: Final = "others"


def stacked(found: Breakdown, column: Column, question: Question) -> dict[str, Any]:
    """Return a chart of bars over time.

    Args:
        found: the breakdown by time and another group, or by time alone.
        column: the figure that it shows.
        question: the range and the filters.
    """
    moments = steps(question, [group[0] for group in found.rows])
    sums: dict[str, float] = {}
    for group, figures in found.rows.items():
        name = group[1] if len(group) > 1 else column.title
        sums[name] = sums.get(name, 0) + (figures.value(column) or 0)
    largest = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    chosen = largest if len(largest) <= MOST_SERIES + 1 else largest[:MOST_SERIES]
    shown = {name: [0.0] * len(moments) for name in chosen}
    if len(chosen) < len(largest):
        shown[OTHERS] = [0.0] * len(moments)
    places = {moment: place for place, moment in enumerate(moments)}
    for group, figures in found.rows.items():
        name = group[1] if len(group) > 1 else column.title
        if value := figures.value(column):
            shown[name if name in shown else OTHERS][places[group[0]]] += value
    return {
        "kind": "bars",
        "unit": column.unit,
        "step": question.step,
        "labels": moments,
        "links": [question.url_of("/sessions", {question.step: moment}) for moment in moments],
        "series": [{"name": shown_as(found.by[-1], name), "values": values} for name, values in shown.items()],
    }


def steps(question: Question, present: Sequence[str]) -> list[str]:
    """Return every hour or day of a range, also those in which nothing happened. A range without an end has those with something."""
    if not present:
        return []
    within, now_ns = question.within, question.now_ns
    length, form = (
        (timedelta(hours=1), "%Y-%m-%d %H:00") if question.step == "hour" else (timedelta(days=1), "%Y-%m-%d")
    )
    first = _text(within, within.since_ns, form) if within.since_ns else min(present)
    last = max(*present, _text(within, min(within.until_ns - 1, now_ns), form) if within.since_ns else "")
    moment = datetime.strptime(min(first, *present), form)  # noqa: DTZ007 — days of a calendar, without a zone
    found = [f"{moment:{form}}"]
    while found[-1] < last:
        moment += length
        found.append(f"{moment:{form}}")
    return found


def _text(within: Range, at_ns: int, form: str) -> str:
    return f"{within.local(at_ns):{form}}"
