"""The alerts: what is worth a person's attention, over the same idea of "how much in this time" as the dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.metrics import catalog as c
from monitoring.expressions import Series, share

RUNBOOK: Final = "monitoring/RUNBOOK.md"  # in the repository, or wherever a team keeps its copy
# The rule in which a team writes what a project may cost in 30 days.
BUDGET: Final = "claude:budget_usd:30d"
DEFAULT_BUDGET_USD: Final = 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: as Prometheus and the runbook call it.
        expr: fires where this has an element.
        hold: how long it has to hold, as PromQL writes durations.
        severity: ``critical`` (now), ``warning`` (today) or ``info``.
        summary: one line, Prometheus's template.
        description: what it means; the runbook says what to do.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str


_AGENT = ("agent", "project")
_SPENT_30D = Series(c.COST).grown("30d", ["project"])
_SPENT_1D = Series(c.COST).grown("1d", ["project"])

ALERTS: Final = (
    Alert(
        "ClaudeHighCost", f"{Series(c.COST).grown('1h', ['project'])} > 10", "0m", "critical",
        '{{ $labels.project }} cost {{ printf "%.2f" $value }} USD within an hour',
        "More than 10 USD (list price) in the last hour.",
    ),
    Alert(
        "ClaudeLowEfficiency",
        f"{Series(c.EFFICIENCY).now('max', _AGENT)} < 0.0001 and {Series(c.SESSIONS_ACTIVE).now('sum', _AGENT)} > 0",
        "15m", "info", "{{ $labels.agent }} delivers little for its tokens",
        "Fewer than one story point per 10,000 new tokens over the scores' window, while it works.",
    ),
    Alert(
        "ClaudeToolsFailing",
        share(
            Series(c.TOOL_CALLS, 'outcome=~"error|invalid"').grown("15m", (*_AGENT, "tool")),
            Series(c.TOOL_CALLS).grown("15m", (*_AGENT, "tool")) + " >= 10",
        ) + " > 0.5",
        "0m", "warning", "{{ $labels.tool }} fails for {{ $labels.agent }} on {{ $labels.project }}",
        "More than half of at least ten calls of one tool within 15 minutes failed.",
    ),
    Alert(
        "ClaudeContextNearlyFull", f"{Series(c.CONTEXT_USAGE).now('max', _AGENT)} > 90", "2m", "warning",
        "{{ $labels.agent }}'s context is {{ printf \"%.0f\" $value }} % full",
        "A session is about to be compacted, and forgets details then.",
    ),
    Alert(
        "ClaudeAgentSilent",
        # A daemon sends for at least 15 minutes after the last request; who fell silent earlier than that was cut off.
        f"{Series(c.API_REQUESTS).grown('14m', _AGENT)} > 0 unless {Series(c.SESSIONS_ACTIVE).now('sum', _AGENT)}",
        "1m", "warning", "Nothing arrives any more from {{ $labels.agent }} on {{ $labels.project }}",
        "It made requests within the last 14 minutes, and its data has stopped.",
    ),
    Alert(
        "ClaudeExportFailing",
        f"{Series(c.EXPORT_FAILURES).grown('30m', ('instance', 'exporter'))} >= 3 or "
        f"{Series(c.EXPORT_AGE).now('max', ('instance', 'exporter'))} > 1800",
        "0m", "warning", "Exporter {{ $labels.exporter }} of installation {{ $labels.instance }} fails",
        "An endpoint refused at least three exports within half an hour, or has accepted none for that long.",
    ),
    Alert(
        "ClaudeBudgetBurn", f"{_SPENT_1D} * 30 > on() group_left() (2 * {BUDGET})", "1h", "warning",
        "{{ $labels.project }} spends at twice its budget",
        "If every day were like the last 24 hours, the project would use two budgets in 30 days.",
    ),
    Alert(
        "ClaudeBudgetSpent", f"{_SPENT_30D} > on() group_left() {BUDGET}", "0m", "critical",
        '{{ $labels.project }} has used its budget: {{ printf "%.2f" $value }} USD in 30 days',
        "The last 30 days cost more than the budget.",
    ),
    Alert(
        "ClaudeCollectorDown", 'up{job="otel-collector"} == 0', "2m", "critical",
        "The Collector does not answer Prometheus",
        "Nothing arrives from anybody. Nothing is lost meanwhile: installations send their newest totals once it is back.",
    ),
)  # fmt: skip
