"""Links from a number, a bar or a row to the next dashboard with the same filters, and to its traces and log events.

Sources: Grafana's documentation, "Configure data links and actions" (the variables of a link) and "Explore" (the form of its URL).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from claude_hooks_otel.traces import semantic_conventions as names
from monitoring.expressions import FILTERS

# Dashboard → the one that shows more of the same.
NEXT: Final = {
    "claude-executive": ("claude-agents", "Agent performance"),
    "claude-agents": ("claude-technical", "Technical"),
    "claude-quality": ("claude-agents", "Agent performance"),
}
# The variables with the data sources of traces and of log events, and the types of these data sources.
STORES: Final = {"traces": "jaeger", "logs": "victoriametrics-logs-datasource"}
# Label → the attribute of spans and log events with the same value.
_ATTRIBUTES: Final = {**names.IDENTITY, "model": names.REQUEST_MODEL, "tool": names.TOOL_NAME}
_SERVICE: Final = "claude-hooks-otel"

# Returns the variable of a link that has the value of a label.
Value = Callable[[str], str]


def from_series(label: str) -> str:
    """Return the value of a label of the bar or line that is clicked."""
    return f"${{__field.labels.{label}:percentencode}}"


def from_row(label: str) -> str:
    """Return the value of a key of the table's row that is clicked."""
    return f'${{__data.fields["{title_of(label)}"]:percentencode}}'


def title_of(label: str) -> str:
    """Return the title of a table's column with the values of a label."""
    return label.replace("_", " ").capitalize()


class Link(NamedTuple):
    """A link of a panel. Its address has variables of Grafana."""

    title: str
    url: str


def drill_down(board: str, keys: Sequence[str], value: Value) -> list[Link]:
    """Return the links of a panel's number, bars or rows: to the next dashboard, and to traces and log events in the same time range.

    Args:
        board: the dashboard of the panel.
        keys: the labels of a bar or row; none for a number.
        value: from_series or from_row.
    """
    found = []
    if board in NEXT:
        uid, title = NEXT[board]
        filters = [f"var-{key}={value(key)}" for key in keys if key in FILTERS]
        kept = [f"${{{name}:queryparam}}" for name in ("datasource", *STORES, *FILTERS) if name not in keys]
        found.append(Link(title, f"/d/{uid}?" + "&".join(("${__url_time_range}", *filters, *kept))))
    attributes = {key: value(key) for key in keys if key in _ATTRIBUTES}
    return [*found, _to_traces(attributes), _to_logs(attributes)]


def _to_traces(values: Mapping[str, str]) -> Link:
    """Return a link to the traces with the values of some labels. Jaeger's search compares only whole values."""
    tags = " ".join(f"{_ATTRIBUTES[key]}=@{key}@" for key in values)
    query = {"queryType": "search", "service": _SERVICE, "tags": tags}
    return Link("Traces in Jaeger", _explore("traces", query, values))


def _to_logs(values: Mapping[str, str]) -> Link:
    """Return a link to the log events with the values of some labels, of the agents and projects that the dashboard shows."""
    shown = {key: f"${{{key}:regex}}" for key in ("agent", "project") if key not in values}
    expression = " ".join(
        [
            *(f'"{_ATTRIBUTES[key]}":="@{key}@"' for key in values),
            *(f'"{_ATTRIBUTES[key]}":~"@{key}@"' for key in shown),
        ]
    )
    return Link("Log events in VictoriaLogs", _explore("logs", {"expr": expression}, {**values, **shown}))


def _explore(store: str, query: Mapping[str, str], values: Mapping[str, str]) -> str:
    source = f"@{store}@"
    panes = {
        "a": {
            "datasource": source,
            "queries": [{"refId": "A", "datasource": {"type": STORES[store], "uid": source}, **query}],
            "range": {"from": "@from@", "to": "@to@"},
        }
    }
    url = "/explore?schemaVersion=1&panes=" + quote(json.dumps(panes, separators=(",", ":")), safe="")
    variables = {store: f"${{{store}}}", "from": "${__from}", "to": "${__to}", **values}
    for name, variable in variables.items():
        url = url.replace(quote(f"@{name}@", safe=""), variable)
    return url
