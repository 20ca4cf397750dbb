"""The definition of a metric: its OTLP name, unit, kind, labels and meaning, and the exact name that Prometheus shows for it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import Final

from claude_hooks_otel.metrics.labels import COMMON_LABELS, OPTIONAL_LABELS


class Kind(enum.StrEnum):
    """The kinds of metric in use, in OpenTelemetry's terms."""

    COUNTER = "counter"  # monotonic sum
    GAUGE = "gauge"
    HISTOGRAM = "histogram"  # explicit buckets


# Every stored value is an integer, so that the order of additions cannot change a total. The scale of a metric is the number of stored
# units per exported unit.
ONE: Final = 1
SCORES: Final = 1_000_000_000_000  # story points per token are millionths
SHARES: Final = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)  # declared once: identity is equality, and the hash is cheap
class Metric:
    """One metric.

    Attributes:
        name: the OTLP name, with dots between words.
        unit: the OTLP unit, in UCUM; annotations stand in braces.
        kind: counter, gauge or histogram.
        meaning: one or a few sentences that say what it counts. They are shown on the reference page and in Prometheus.
        labels: the label keys besides COMMON_LABELS and OPTIONAL_LABELS, in order.
        scale: stored integer units per exported unit.
        buckets: the upper bounds of a histogram's buckets, in exported units.
        common: False for metrics about the product's own health, which belong to no agent.
    """

    name: str
    unit: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    scale: int = ONE
    buckets: tuple[float, ...] = field(default=())
    common: bool = True

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def prometheus_name(self) -> str:
        """The Prometheus name, as otlptranslator's UnderscoreEscapingWithSuffixes makes it."""
        name = re.sub(r"[^a-zA-Z0-9_]+", "_", self.name)
        suffix = _UNIT_SUFFIXES[self.unit]
        if suffix and not name.endswith(f"_{suffix}"):
            name = f"{name}_{suffix}"
        return f"{name}_total" if self.kind is Kind.COUNTER else name

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Every label key that a series of this metric can carry."""
        return (*COMMON_LABELS, *self.labels, *OPTIONAL_LABELS) if self.common else self.labels


class _UnitSuffixes(dict[str, str]):
    """The word that Prometheus appends for each unit. For an annotation in braces, it appends nothing."""

    def __missing__(self, unit: str) -> str:
        if unit.startswith("{") and unit.endswith("}"):
            return ""
        raise KeyError(f"unit {unit!r} has no known Prometheus suffix: add it, or write it as an annotation in braces")


_UNIT_SUFFIXES: Final = _UnitSuffixes({"s": "seconds", "%": "percent", "By": "bytes", "1": "ratio"})
