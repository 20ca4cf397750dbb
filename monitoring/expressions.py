"""PromQL over the catalog: one idea of "how much in this time", used by every panel, alert and rule.

Our counters only ever grow: they keep their start time for ever and are never reset, so what happened between two moments is the
difference of the totals at these moments, exactly. ``increase()`` is neither exact (it extrapolates) nor complete (it loses a
series' first sample, and everything before a gap longer than its range). What a total was at a moment is the last sample at or
before it; the samples may be days old, because nobody sends while nobody works. Reading far back is slow, so a recording rule
carries each total forward, sparsely: see ``total_at``. docs/monitoring.md explains the choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from claude_hooks_otel.metrics.definition import Kind, Metric

# How far back a sample itself is looked for. Long enough for a weekend without Prometheus: then the carried value is not needed.
RECENT: Final = "3d"
# How far back the carried total is looked for: the longest time that Prometheus may be away without a total being forgotten.
REMEMBERED: Final = "30d"
# How often totals are carried forward. REMEMBERED / CARRY_EVERY samples of a series, 2,880, are read for each total; the samples
# of RECENT are about twice as many (bench/range_query.py).
CARRY_EVERY: Final = "15m"
# Appended to a series' name: the same labels, the same value.
CARRIED: Final = ":carried"

# Grafana's names for the time range of the dashboard and for the width of one bar.
RANGE: Final = "$__range"
BAR: Final = "$__interval"


def fill(expression: str, span: float, bar: float = 1.0) -> str:
    """Fill in a dashboard's variables as Grafana does when every filter is set to "All".

    Args:
        expression: PromQL with Grafana's variables.
        span: The length of the time range, in seconds.
        bar: The width of one bar, in seconds.
    """
    values = {
        f"{RANGE}_s": f"{span:.3f}",
        RANGE: f"{round(span * 1000)}ms",
        BAR: f"{round(bar * 1000)}ms",
        "$project": ".*",
        "$agent": ".*",
        "$model": ".*",
    }
    for name, value in values.items():
        expression = expression.replace(name, value)
    return expression


class UnknownLabelError(ValueError):
    """An expression names a label that its metric does not have."""


def series_names(metric: Metric) -> tuple[str, ...]:
    """The names of the growing series that Prometheus keeps for a metric; a gauge has none."""
    name = metric.prometheus_name
    match metric.kind:
        case Kind.COUNTER:
            return (name,)
        case Kind.HISTOGRAM:
            return (f"{name}_count", f"{name}_sum", f"{name}_bucket")
        case Kind.GAUGE:
            return ()


def carry(name: str) -> str:
    """The recording rule's expression for a series: the newest total, or the one that was carried so far."""
    return f"last_over_time({name}[{RECENT}]) or last_over_time({name}{CARRIED}[{REMEMBERED}])"


def total_at(name: str, matchers: str = "", offset: str = "") -> str:
    """The total of each series ``offset`` ago; no element for a series that had not begun."""
    back = f" offset {offset}" if offset else ""
    selector = f"{{{matchers}}}" if matchers else ""
    return (
        f"(last_over_time({name}{selector}[{RECENT}]{back})"
        f" or last_over_time({name}{CARRIED}{selector}[{REMEMBERED}]{back}))"
    )


def change(name: str, span: str, matchers: str = "") -> str:
    """How much each series grew in ``span``; one that began inside it grew from nothing."""
    now = total_at(name, matchers)
    return f"({now} - ({total_at(name, matchers, span)} or {now} * 0))"


def grouped(function: str, labels: Iterable[str], expression: str) -> str:
    """An aggregation."""
    keys = ", ".join(labels)
    return f"{function} by ({keys}) ({expression})" if keys else f"{function}({expression})"


class Series:
    """One metric of the catalog under some matchers.

    Args:
        metric: which.
        matchers: label matchers as PromQL writes them, such as ``outcome="error"``.

    Raises:
        UnknownLabelError: a matcher names a label that the metric does not have.
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
        """The growth in ``span``, summed; of a histogram ``part`` says ``_count``, ``_sum`` or ``_bucket``."""
        self._known(self.metric, *by)
        name = f"{self.metric.prometheus_name}{part}"
        if name not in series_names(self.metric):
            raise ValueError(f"{name} is no growing series")
        return grouped("sum", by, change(name, span, self.matchers))

    def mean(self, span: str = RANGE, by: Sequence[str] = ()) -> str:
        """The mean of what a histogram observed in ``span``."""
        return f"{self.grown(span, by, '_sum')} / ({self.grown(span, by, '_count')} > 0)"

    def quantile(self, quantile: float, span: str = RANGE, by: Sequence[str] = ()) -> str:
        """A quantile of what a histogram observed in ``span``, as exact as its buckets."""
        return f"histogram_quantile({quantile:g}, {self.grown(span, ('le', *by), '_bucket')})"

    def now(self, function: str = "max", by: Sequence[str] = ()) -> str:
        """A gauge as it stands; no data once nobody sends it."""
        self._known(self.metric, *by)
        return grouped(function, by, self._selector())

    def latest(self, function: str = "max", by: Sequence[str] = (), span: str = RANGE) -> str:
        """A gauge's last value in ``span``."""
        self._known(self.metric, *by)
        return grouped(function, by, f"last_over_time({self._selector()}[{span}])")

    def peak(self, function: str = "max", by: Sequence[str] = (), span: str = BAR) -> str:
        """A gauge's greatest value in ``span``: a step of a graph may be longer than a session."""
        self._known(self.metric, *by)
        return grouped(function, by, f"max_over_time({self._selector()}[{span}])")

    def _selector(self) -> str:
        name = self.metric.prometheus_name
        return f"{name}{{{self.matchers}}}" if self.matchers else name


def share(part: str, whole: str) -> str:
    """``part`` of ``whole`` between 0 and 1; no data where there is no whole."""
    return f"({part}) / ({whole} > 0)"
