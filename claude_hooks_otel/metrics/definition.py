"""What a metric is: its OTLP name, unit, kind, labels and meaning, and the exact name under which Prometheus shows it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field


class Kind(enum.StrEnum):
    """The kinds of metric in use, in OpenTelemetry's terms."""

    COUNTER = "counter"  # monotonic sum
    GAUGE = "gauge"
    HISTOGRAM = "histogram"  # explicit buckets


# The stored value of every series is an integer, so that the order of additions can never change a total. A metric's scale says
# how many stored units make one exported unit.
ONE = 1
DOLLAR = 1_000_000_000_000  # per US dollar: the cheapest price, 0.01 USD per million tokens x 1.1, is 11,000 of them
SCORES = 1_000_000_000_000  # per unit of a score: story points per token are millionths

# Every series carries these two.
COMMON_LABELS = ("agent", "project")
# These two as well, where the owner of a session has set them.
OPTIONAL_LABELS = ("team", "sprint")


@dataclass(frozen=True, slots=True, eq=False)  # declared once: identity is equality, and a cheap hash
class Metric:
    """One declared metric.

    Attributes:
        name: the OTLP name, dots between words.
        unit: the OTLP unit (UCUM; annotations in braces).
        kind: counter, gauge or histogram.
        labels: label keys beside COMMON_LABELS and OPTIONAL_LABELS, in order.
        meaning: what one unit of it stands for, in a sentence or two; the reference page prints it.
        scale: stored integer units per exported unit.
        buckets: the upper bounds of a histogram's buckets, in exported units.
        common: False for the product's own health, which belongs to no agent.
    """

    name: str
    unit: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    scale: int = ONE
    buckets: tuple[float, ...] = field(default=())
    common: bool = True

    @property
    def prometheus_name(self) -> str:
        """The name after OTLP-to-Prometheus translation with suffixes (otlptranslator's UnderscoreEscapingWithSuffixes)."""
        name = re.sub(r"[^a-zA-Z0-9_]+", "_", self.name)
        suffix = _UNIT_SUFFIXES[self.unit]
        if suffix and not name.endswith(f"_{suffix}"):
            name = f"{name}_{suffix}"
        return f"{name}_total" if self.kind is Kind.COUNTER else name

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Every label key a series of this metric may carry."""
        return (*COMMON_LABELS, *self.labels, *OPTIONAL_LABELS) if self.common else self.labels


class _UnitSuffixes(dict[str, str]):
    """The words Prometheus appends for a unit; an annotation in braces appends nothing."""

    def __missing__(self, unit: str) -> str:
        if unit.startswith("{") and unit.endswith("}"):
            return ""
        raise KeyError(f"unit {unit!r} has no known Prometheus suffix: add it, or write it as an annotation in braces")


_UNIT_SUFFIXES = _UnitSuffixes({"s": "seconds", "%": "percent", "By": "bytes"})
