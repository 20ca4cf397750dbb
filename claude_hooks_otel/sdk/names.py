"""The metric names, labels and values that a program can record. Misuse raises at once and says what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from claude_hooks_otel.metrics.declared import (
    BY_SHORT_NAME,
    KNOWN_LABELS,
    LARGEST_VALUE,
    NAME_PREFIX,
    NO_UNIT,
    default_label,
    is_metric_name,
    metric_of,
    short_name,
)
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import MAX_LABEL_LENGTH, NAMED_LABELS, normalize

# The units for which Prometheus has a word. Any other unit becomes an annotation.
_UNITS = {"s": "s", "seconds": "s", "%": "%", "percent": "%", "By": "By", "bytes": "By"}
_UNIT_WORD = re.compile(r"\{?([A-Za-z][A-Za-z0-9_]{0,30})\}?")
_LABEL_KEY = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]?")
_HEX_IDENTIFIER = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[0-9a-f]*[0-9])[0-9a-f]{16,})\b", re.IGNORECASE)  # fmt: skip
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
# The largest value in stored units: an eighth of what a total can hold (SQLite's 64 bits).
MOST_STORED = 2**60
_ADVICE = "use one of a small, fixed set of values, such as a category"


class MisuseError(ValueError):
    """A call that cannot be recorded. The message says what was expected."""


class Vocabulary:
    """The names and labels that the calls of one monitor can use.

    Args:
        labels: label keys in addition to the catalog's.

    Raises:
        MisuseError: a label key is invalid.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._registered: frozenset[str] = frozenset()
        if isinstance(labels, str):
            raise MisuseError(f"labels: a tuple of label keys is expected, such as ({labels!r},)")
        for key in labels:
            self.register_label(key)

    def register_label(self, key: str) -> None:
        """Let calls use another label key.

        Raises:
            MisuseError: the key is invalid.
        """
        if not isinstance(key, str) or not _LABEL_KEY.fullmatch(key) or key.startswith("__"):
            raise MisuseError(
                f"label {key!r}: a key of lower-case letters, digits and _ is expected, such as 'customer'"
            )
        self._registered |= {key}

    def metric(self, name: str, kind: Kind | None, unit: str | None = None) -> Metric:
        """Return the metric that a name means.

        Args:
            name: the name, with or without ``claude_`` and ``_total``.
            kind: the kind that the call needs. None takes the kind that the name already has; a new name becomes a counter.
            unit: ``s``, ``%``, ``By`` or a word. None takes the unit that the name already has.

        Raises:
            MisuseError: the name is invalid, or the metric has another kind or unit.
        """
        if not isinstance(name, str) or not is_metric_name(short := short_name(name)):
            raise MisuseError(
                f"{name!r} is not a metric name: letters, digits and _ are expected, no digit first, at most 100 characters, "
                "such as 'api_calls'"
            )
        known = BY_SHORT_NAME.get(short)
        if known is not None:
            if not known.common:
                raise MisuseError(f"{name!r} is the product's own metric; choose another name")
            if kind is not None and kind is not known.kind:
                raise MisuseError(
                    f"{name!r} is a {known.kind} ({known.prometheus_name}), it cannot be used as a {kind}"
                )
            return known
        metric = metric_of(f"{NAME_PREFIX}{short}", kind or _kind_in_use(short) or Kind.COUNTER, _unit(unit))
        in_use = _remember(short, metric)
        if in_use.kind is not metric.kind:
            raise MisuseError(
                f"{name!r} is already used as a {in_use.kind} in this program, it cannot be a {metric.kind} as well"
            )
        if unit is not None and in_use.unit != metric.unit:
            raise MisuseError(f"{name!r} already has the unit {in_use.unit!r} in this program, not {metric.unit!r}")
        return in_use

    def labels(self, metric: Metric, labels: Mapping[str, object] | None) -> dict[str, str]:
        """Return the normalized labels of one call. Labels of a catalog metric that the caller leaves out get their defaults.

        Raises:
            MisuseError: a key is unknown, or a value is invalid.
        """
        if labels is not None and not isinstance(labels, Mapping):
            raise MisuseError(f"labels: a dict of label key to value is expected, not {type(labels).__name__}")
        allowed = self._registered | (
            {*metric.labels, *NAMED_LABELS} if metric.name in _CATALOG_NAMES else KNOWN_LABELS
        )
        found: dict[str, str] = {}
        for key, value in (labels or {}).items():
            if key not in allowed:
                raise MisuseError(
                    f"unknown label {key!r}; known for this metric: {', '.join(sorted(allowed))}. "
                    f"Register another one first: AgentMonitor(..., labels=({key!r},)) or register_label({key!r})"
                )
            found[key] = bounded(value, f"label {key!r}")
        for key in metric.labels:
            found.setdefault(key, default_label(key))
        return found


_CATALOG_NAMES = frozenset(metric.name for metric in BY_SHORT_NAME.values())
# Short name → the declared metric that this program uses it for, over all monitors. A name keeps its kind.
_in_use: dict[str, Metric] = {}


def _kind_in_use(short: str) -> Kind | None:
    metric = _in_use.get(short)
    return metric.kind if metric else None


def _remember(short: str, metric: Metric) -> Metric:
    return _in_use.get(short) or _in_use.setdefault(short, metric)


def _unit(unit: str | None) -> str:
    if unit is None:
        return NO_UNIT
    if unit in _UNITS:
        return _UNITS[unit]
    word = _UNIT_WORD.fullmatch(unit) if isinstance(unit, str) else None
    if word is None:
        raise MisuseError(f"unit {unit!r}: 's', '%', 'By' or a word is expected, such as 'call'")
    return f"{{{word[1]}}}"


def bounded(value: object, what: str) -> str:
    """Return a label's value, normalized as every label is.

    Args:
        value: a text or a whole number.
        what: what the value is; the message begins with it.

    Raises:
        MisuseError: the value is empty, or it is of a sort that has unlimited values, such as a path.

    >>> bounded(" Back End ", "agent_id")
    'back-end'
    >>> bounded("/home/ann/shop", "label 'project'")
    Traceback (most recent call last):
    ...
    claude_hooks_otel.sdk.names.MisuseError: label 'project': a path cannot be a label value; use one of a small, fixed set of values, such as a category
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MisuseError(f"{what}: a short text is expected, not {type(value).__name__}")
    text = str(value).strip()
    if (sort := _unbounded_sort(text)) is not None:
        raise MisuseError(f"{what}: {sort} cannot be a label value; {_ADVICE}")
    normalized = normalize(text, "")
    if not normalized:
        raise MisuseError(f"{what}: a text with a letter or digit is expected, not {value!r}")
    return normalized


def _unbounded_sort(text: str) -> str | None:
    """Return what a text is if such texts have no bound to their number, and a series for each would be too many."""
    if len(text) > MAX_LABEL_LENGTH:
        return f"a text of {len(text)} characters"
    if "/" in text or "\\" in text or _DRIVE.match(text):
        return "a path"
    if _HEX_IDENTIFIER.search(text):
        return "an identifier or hash"
    return "an e-mail address" if _EMAIL.search(text) else None


def number(value: object, metric: Metric) -> int | float:
    """Return a value that a metric can take.

    Raises:
        MisuseError: the value is not a finite number, is too large, is negative although the metric is not a gauge, or is a fraction
            although the metric counts in whole units.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        converted = _from_number_type(value)
        if converted is None:
            raise MisuseError(f"{metric.name}: a number is expected, not {type(value).__name__}")
        value = converted
    if not math.isfinite(value):
        raise MisuseError(f"{metric.name}: a finite number is expected, not {value}")
    if abs(value) > LARGEST_VALUE:
        raise MisuseError(f"{metric.name}: a number up to {LARGEST_VALUE:.0e} is expected, not {value}")
    if metric.kind is Kind.GAUGE:
        return value
    if value < 0:
        raise MisuseError(f"{metric.name} is a {metric.kind}: it only grows, {value} cannot be added; use a gauge")
    if metric.scale == 1 and value != int(value):
        raise MisuseError(f"{metric.name} counts in whole {metric.unit.strip('{}')}s: {value} is not whole")
    if value * metric.scale >= MOST_STORED:
        raise MisuseError(f"{metric.name}: a number up to {MOST_STORED / metric.scale:.0e} is expected, not {value}")
    return value


def whole_number(value: object, what: str, least: int, most: int) -> int:
    """Return a whole number within bounds.

    Raises:
        MisuseError: the value is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise MisuseError(f"{what}: a whole number from {least} to {most} is expected, not {value!r}")
    return value


def _from_number_type(value: object) -> float | None:
    """Return the value of a Decimal, a Fraction or a scalar of a numerical library; None if it is not a number."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
