"""Metrics that programs declare by using them through the SDK, in addition to the catalog. Standard library only."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import NAMED_LABELS

if TYPE_CHECKING:
    import sqlite3

# Stored units per unit of a declared metric. Fractions are exact to a millionth, totals go up to 9 x 10^12 (SQLite's 64 bits).
SCALE: Final = 1_000_000
# A larger single value is an error of the caller. A few thousand values of this size fit into a total.
LARGEST_VALUE: Final = 1_000_000_000_000
# How many metrics programs can declare in one store. Without a limit, names built from data would fill it.
MOST_METRICS: Final = 500
# The unit of a declared metric if none is given. It is an annotation, so Prometheus appends nothing.
NO_UNIT: Final = "{value}"
# The upper bounds of a declared histogram's buckets. Its unit is unknown, so they grow by 1-2.5-5 from a hundredth to a day in seconds.
BUCKETS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0,
    10_000.0, 25_000.0, 50_000.0, 100_000.0,
)  # fmt: skip
NAME_PREFIX: Final = "claude."
SCHEMA: Final = "CREATE TABLE IF NOT EXISTS declared_metric (name TEXT PRIMARY KEY, kind TEXT, unit TEXT) WITHOUT ROWID"

# Other names for metrics of the catalog.
_ALIASES: Final = {
    "features_completed": "features_delivered",
    "story_points": "story_points_delivered",
    "story_points_completed": "story_points_delivered",
    "cost_usd": "api_cost_usd",
    "test_coverage": "test_coverage_percent",
    "context_usage": "context_usage_percent",
}
# The values of catalog labels that a caller leaves out.
_DEFAULTS: Final = {"agent_type": "sdk", "source": "sdk", "outcome": "success", "task_type": "task", "cache": "none"}
# Label keys of the SDK's own measurements that are not in the catalog.
_SDK_LABELS: Final = ("operation", "span")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,99}")


def short_name(name: str) -> str:
    """Return a metric's name without what Prometheus adds: ``claude_api_calls_total`` and ``api_calls`` are the same metric.

    >>> short_name("claude_Features_Delivered_total")
    'features_delivered'
    """
    text = name.lower().removeprefix("claude_").removeprefix(NAME_PREFIX).removesuffix("_total")
    return _ALIASES.get(text, text)


def is_metric_name(name: str) -> bool:
    """Return whether a short name is valid: up to 100 letters, digits and ``_``, and no digit first."""
    return _NAME.fullmatch(name) is not None


BY_SHORT_NAME: Final[dict[str, Metric]] = {short_name(metric.prometheus_name): metric for metric in catalog.METRICS}
KNOWN_LABELS: Final[frozenset[str]] = frozenset(
    (*NAMED_LABELS, *_SDK_LABELS, *(label for metric in catalog.METRICS for label in metric.labels if metric.common))
)


def default_label(key: str) -> str:
    """Return the value of a catalog label that the caller leaves out."""
    return _DEFAULTS.get(key, "unknown")


@functools.lru_cache(maxsize=2 * MOST_METRICS)
def declared_metric(name: str, kind: str, unit: str) -> Metric:
    """Return the declared metric of an OTLP name. Equal arguments return the same object, because metrics compare by identity.

    >>> declared_metric("claude.api_calls", "counter", "{value}").prometheus_name
    'claude_api_calls_total'
    """
    kind = Kind(kind)
    return Metric(
        name, unit, kind, "Recorded by a program through the SDK.",
        scale=SCALE, buckets=BUCKETS if kind is Kind.HISTOGRAM else (),
    )  # fmt: skip


def metric_of(name: str, kind: str, unit: str) -> Metric:
    """Return the catalog's metric of an OTLP name, or else the declared one."""
    return catalog.CATALOG.get(name) or declared_metric(name, kind, unit)


def declare(connection: sqlite3.Connection, name: str, kind: str, unit: str) -> Metric:
    """Declare a metric by its first use, and return it. Later declarations change nothing. The caller holds the transaction."""
    connection.execute("INSERT OR IGNORE INTO declared_metric VALUES (?, ?, ?)", (name, kind, unit))
    row = connection.execute("SELECT kind, unit FROM declared_metric WHERE name = ?", (name,)).fetchone()
    return metric_of(name, *row)


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:
    """Delete nothing: the kind of a name is final."""


def read_declared(connection: sqlite3.Connection) -> dict[str, Metric]:
    """Return the metrics that a store's programs have declared, by OTLP name. A store of an earlier version has none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'declared_metric'").fetchone():
        return {}
    rows = connection.execute("SELECT name, kind, unit FROM declared_metric").fetchall()
    return {name: declared_metric(name, kind, unit) for name, kind, unit in rows}
