"""The alerts. They measure growth in a time range with the same expressions as the dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.metrics import catalog as c
from monitoring.expressions import Series, per_million, share

RUNBOOK: Final = "monitoring/RUNBOOK.md"  # relative to the repository; a team may keep its own copy
# The rule that holds a project's budget for 30 days.
BUDGET: Final = "claude:budget_usd:30d"
DEFAULT_BUDGET_USD: Final = 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: The name in Prometheus and in the runbook.
        expr: The PromQL expression; the alert fires for each element of its result.
        hold: How long the expression must have a result before the alert fires, as a Prometheus duration.
        severity: ``critical`` (act now), ``warning`` (act today) or ``info``.
        summary: One line, as a Prometheus template.
        description: What the alert means. The runbook says what to do.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str


_AGENT = ("agent", "project")
_MACHINE = (*_AGENT, "instance")
_SPENT_30D = Series(c.COST).grown("30d", ["project"])
_SPENT_1D = Series(c.COST).grown("1d", ["project"])

# What the Collector's queue of each signal holds, in the names of its own metrics.
_ITEMS: Final = {"traces": "spans", "logs": "log_records", "metrics": "metric_points"}


def _is_stuck(signal: str) -> str:
    """Return the expression for exporters of a signal whose queue is not empty, and which have sent nothing for ten minutes."""
    queue, sent = "otelcol_exporter_queue_size", f"otelcol_exporter_sent_{_ITEMS[signal]}"
    return f'{queue}{{data_type="{signal}"}} > 0 unless on (instance, exporter) increase({sent}[10m]) > 0'


def _has_dropped(signal: str) -> str:
    """Return the expression for exporters that gave data up in 30 minutes. The counter begins with the first loss, not with zero."""
    failed = f"otelcol_exporter_send_failed_{_ITEMS[signal]}"
    return f"{failed} > 0 unless {failed} offset 30m or increase({failed}[30m]) > 0"


ALERTS: Final = (
    Alert(
        "ClaudeHighCost", f"{Series(c.COST).grown('1h', ['project'])} > 10", "0m", "critical",
        '{{ $labels.project }} cost {{ printf "%.2f" $value }} USD in the last hour',
        "The project cost more than 10 USD at list prices in the last hour.",
    ),
    Alert(
        "ClaudeLowEfficiency",
        f"{per_million(Series(c.EFFICIENCY).now('max', _AGENT))} < 100 and {Series(c.SESSIONS_ACTIVE).now('sum', _AGENT)} > 0",
        "15m", "info", '{{ $labels.agent }} delivers few story points for its tokens: {{ printf "%.0f" $value }} per million',
        "The agent is active and has delivered fewer than 100 story points per million new tokens in the scoring window.",
    ),
    Alert(
        "ClaudeToolsFailing",
        share(
            Series(c.TOOL_CALLS, 'outcome=~"error|invalid"').grown("15m", (*_AGENT, "tool")),
            Series(c.TOOL_CALLS).grown("15m", (*_AGENT, "tool")) + " >= 10",
        ) + " > 0.5",
        "0m", "warning", "{{ $labels.tool }} fails for {{ $labels.agent }} on {{ $labels.project }}",
        "At least ten calls of the tool ended in the last 15 minutes, and more than half of them failed.",
    ),
    Alert(
        "ClaudeContextNearlyFull", f"{Series(c.CONTEXT_USAGE).now('max', _AGENT)} > 90", "2m", "warning",
        "{{ $labels.agent }}'s context is {{ printf \"%.0f\" $value }} % full",
        "The client will soon compact the session, which loses details.",
    ),
    Alert(
        "ClaudeAgentSilent",
        # A daemon keeps sending for at least 15 minutes after the last request. Silence before that means that it was cut off. The
        # last number of active sessions says whether one was still open: after the end of a session, silence is no fault.
        f"{Series(c.API_REQUESTS).grown('14m', _MACHINE)} > 0"
        f" and {Series(c.SESSIONS_ACTIVE).latest('sum', _MACHINE, '14m')} > 0"
        f" unless {Series(c.SESSIONS_ACTIVE).now('sum', _MACHINE)}",
        "1m", "warning", "No more data arrives from {{ $labels.agent }} on {{ $labels.project }}",
        "A session was open and made API requests in the last 14 minutes, but the data of its installation {{ $labels.instance }} has "
        "stopped arriving.",
    ),
    Alert(
        "ClaudeExportFailing",
        f"{Series(c.EXPORT_FAILURES).grown('30m', ('instance', 'exporter'))} >= 3 or "
        f"{Series(c.EXPORT_AGE).now('max', ('instance', 'exporter'))} > 1800",
        "0m", "warning", "Exporter {{ $labels.exporter }} of installation {{ $labels.instance }} is failing",
        "At least three exports failed in the last 30 minutes, or the endpoint has accepted none for 30 minutes.",
    ),
    Alert(
        "ClaudeBudgetBurn", f"{_SPENT_1D} * 30 > on() group_left() (2 * {BUDGET})", "1h", "warning",
        "{{ $labels.project }} is spending at twice its budget",
        "At the rate of the last 24 hours, the project would spend more than twice its budget in 30 days.",
    ),
    Alert(
        "ClaudeBudgetSpent", f"{_SPENT_30D} > on() group_left() {BUDGET}", "0m", "critical",
        '{{ $labels.project }} has exceeded its budget: {{ printf "%.2f" $value }} USD in 30 days',
        "The project cost more than its budget in the last 30 days.",
    ),
    Alert(
        "ClaudeOwnBudgetUsed", f"{Series(c.BUDGET_USED).now('max', ('instance', 'scope', 'name', 'period'))} >= 1", "0m", "warning",
        "The {{ $labels.period }}'s budget ({{ $labels.scope }} {{ $labels.name }}) of installation {{ $labels.instance }} is used up",
        "A budget that an installation sets under [budgets] is used up in its present period.",
    ),
    Alert(
        "ClaudeCollectorDown", 'up{job="otel-collector"} == 0', "2m", "critical",
        "Prometheus cannot scrape the Collector",
        "No data arrives from any installation. No totals are lost: installations send their latest totals when the Collector is back.",
    ),
    Alert(
        "ClaudeTracesOrLogsWaiting",
        " or ".join((*map(_is_stuck, _ITEMS), "otelcol_exporter_queue_size / otelcol_exporter_queue_capacity > 0.5")),
        "10m", "warning", "{{ $labels.data_type }} wait in the Collector's queue for {{ $labels.exporter }}",
        "For ten minutes its queue was not empty and nothing was sent, or the queue was more than half full. The data waits on disk.",
    ),
    Alert(
        "ClaudeCollectorDropping", " or ".join(map(_has_dropped, ("logs", "traces", "metrics"))), "0m", "critical",
        "The Collector's {{ $labels.exporter }} has given data up",
        "Its endpoint refused exports for good in the last 30 minutes, for example with HTTP 400, 401 or 404. They are lost.",
    ),
)  # fmt: skip
