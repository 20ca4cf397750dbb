"""PromQL for the metrics of the catalog. Every panel, alert and rule measures growth in a time range in the same way.

Our counters never reset: they keep their start time. So the growth between two moments is the difference of the totals at these
moments, exactly. ``increase()`` is not exact, because it extrapolates. It is not complete either: it loses the first sample of a
series, and everything before a gap that is longer than its range. The total at a moment is the last sample at or before it. That
sample may be days old, because a daemon sends nothing while nobody works. Reading raw samples far back is slow, so a recording rule
carries each total forward at long intervals: see ``total_at``. docs/monitoring.md explains the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from claude_hooks_otel.metrics.definition import Kind, Metric

# How far back a query looks for a raw sample. It covers a weekend without Prometheus.
RECENT: Final = "3d"
# How far back a query looks for a carried total: the longest outage of Prometheus that loses no total.
REMEMBERED: Final = "30d"
# How often the rule carries totals forward. A query reads at most REMEMBERED / CARRY_EVERY = 2,880 carried samples of a series,
# about half as many as raw samples within RECENT (python -m bench.range_query).
CARRY_EVERY: Final = "15m"
# The suffix of a carried total's name. Its labels and values are those of the series.
CARRIED: Final = ":carried"

# Grafana's variables for the length of the dashboard's time range and for the width of one bar.
RANGE: Final = "$__range"
BAR: Final = "$__interval"


# The dashboards' variables that filter by a label.
FILTERS: Final = ("team", "sprint", "project", "agent", "user", "machine", "model")


def fill(expression: str, span: float, bar: float = 1.0, chosen: Mapping[str, str] = MappingProxyType({})) -> str:
    """Fill in a dashboard's variables as Grafana does.

    Args:
        expression: PromQL with Grafana's variables.
        span: The length of the time range, in seconds.
        bar: The width of one bar, in seconds.
        chosen: filter → the chosen value as a regular expression. Every other filter is set to "All".
    """
    values = {
        f"{RANGE}_s": f"{span:.3f}",
        RANGE: f"{round(span * 1000)}ms",
        BAR: f"{round(bar * 1000)}ms",
    } | {f"${name}": chosen.get(name, ".*") for name in FILTERS}
    for name, value in values.items():
        expression = expression.replace(name, value)
    return expression


class UnknownLabelError(ValueError):
    """An expression names a label that its metric does not have."""


def series_names(metric: Metric) -> tuple[str, ...]:
    """Return the names of the growing series that Prometheus keeps for a metric. A gauge has none."""
    name = metric.prometheus_name
    match metric.kind:
        case Kind.COUNTER:
            return (name,)
        case Kind.HISTOGRAM:
            return (f"{name}_count", f"{name}_sum", f"{name}_bucket")
        case Kind.GAUGE:
            return ()


def carry(name: str) -> str:
    """Return the recording rule's expression for a series: its newest total, or else the total carried so far."""
    return f"last_over_time({name}[{RECENT}]) or last_over_time({name}{CARRIED}[{REMEMBERED}])"


def total_at(name: str, matchers: str = "", offset: str = "") -> str:
    """Return the expression for the total of each series ``offset`` ago. A series that began later has no element."""
    back = f" offset {offset}" if offset else ""
    selector = f"{{{matchers}}}" if matchers else ""
    return (
        f"(last_over_time({name}{selector}[{RECENT}]{back})"
        f" or last_over_time({name}{CARRIED}{selector}[{REMEMBERED}]{back}))"
    )


def change(name: str, span: str, matchers: str = "") -> str:
    """Return the expression for the growth of each series in ``span``. A series that began inside it grew from zero."""
    now = total_at(name, matchers)
    return f"({now} - ({total_at(name, matchers, span)} or {now} * 0))"


def grouped(function: str, labels: Iterable[str], expression: str) -> str:
    """Return an aggregation by some labels, or over everything."""
    keys = ", ".join(labels)
    return f"{function} by ({keys}) ({expression})" if keys else f"{function}({expression})"


class Series:
    """The series of one metric that match some labels.

    Args:
        metric: A metric of the catalog.
        matchers: Label matchers in PromQL, such as ``outcome="error"``.

    Raises:
        UnknownLabelError: A matcher names a label that the metric does not have.
    """

    def __init__(self, metric: Metric, *matchers: str) -> None:
        for matcher in matchers:
            self._known(metric, matcher.split("=", 1)[0].rstrip("!"))
        self.metric = metric
        self.matchers = ", ".join(matchers)

    @staticmethod
    def _known(metric: Metric, *labels: str) -> None:
        for label in labels:
            if label not in (*metric.all_labels, "instance", "le"):
                raise UnknownLabelError(f"{metric.prometheus_name} has no label {label!r}")

    def grown(self, span: str = RANGE, by: Sequence[str] = (), part: str = "") -> str:
        """Return the expression for the growth in ``span``, summed. A histogram needs ``part``: ``_count``, ``_sum`` or ``_bucket``."""
        self._known(self.metric, *by)
        name = f"{self.metric.prometheus_name}{part}"
        if name not in series_names(self.metric):
            raise ValueError(f"{name} is not a growing series")
        return grouped("sum", by, change(name, span, self.matchers))

    def mean(self, span: str = RANGE, by: Sequence[str] = ()) -> str:
        """Return the expression for the mean of a histogram's observations in ``span``."""
        return f"{self.grown(span, by, '_sum')} / ({self.grown(span, by, '_count')} > 0)"

    def quantile(self, quantile: float, span: str = RANGE, by: Sequence[str] = ()) -> str:
        """Return the expression for a quantile of a histogram's observations in ``span``, as exact as its buckets."""
        return f"histogram_quantile({quantile:g}, {self.grown(span, ('le', *by), '_bucket')})"

    def now(self, function: str = "max", by: Sequence[str] = ()) -> str:
        """Return the expression for a gauge's current value. It has no element when nothing sends the gauge."""
        self._known(self.metric, *by)
        return grouped(function, by, self._selector())

    def latest(self, function: str = "max", by: Sequence[str] = (), span: str = RANGE) -> str:
        """Return the expression for a gauge's last value in ``span``."""
        self._known(self.metric, *by)
        return grouped(function, by, f"last_over_time({self._selector()}[{span}])")

    def before(self, span: str, by: Sequence[str] = (), bar: str = BAR) -> str:
        """Return the expression for a gauge's last value in the ``span`` that ended one ``bar`` ago."""
        self._known(self.metric, *by)
        return grouped("max", by, f"last_over_time({self._selector()}[{span}] offset {bar})")

    def peak(self, function: str = "max", by: Sequence[str] = (), span: str = BAR) -> str:
        """Return the expression for a gauge's maximum in ``span``. A step of a graph may be longer than a session."""
        self._known(self.metric, *by)
        return grouped(function, by, f"max_over_time({self._selector()}[{span}])")

    def _selector(self) -> str:
        name = self.metric.prometheus_name
        return f"{name}{{{self.matchers}}}" if self.matchers else name


def share(part: str, whole: str) -> str:
    """Return the expression for ``part`` divided by ``whole``. It has no element where ``whole`` is 0."""
    return f"({part}) / ({whole} > 0)"


def per_million(expression: str) -> str:
    """Return the expression for a rate per token as a rate per million tokens: 12 story points for 400,000 tokens are 30."""
    return f"1e6 * {expression}"


def open_seconds(active: str, span: str = RANGE) -> str:
    """Return the expression for the seconds that sessions were open in ``span``, from the number of active ones at each minute."""
    return f"60 * sum_over_time(({active})[{span}:1m])"
