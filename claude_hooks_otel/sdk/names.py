"""What a program may record: names, kinds, values and labels. Misuse raises at once, with a sentence that says what was expected."""

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
from claude_hooks_otel.metrics.labels import IDENTITY_LABELS, MAX_LABEL_LENGTH, normalize

# Units that Prometheus knows a word for; any other becomes an annotation.
_UNITS = {"s": "s", "seconds": "s", "%": "%", "percent": "%", "By": "By", "bytes": "By"}
_UNIT_WORD = re.compile(r"\{?([A-Za-z][A-Za-z0-9_]{0,30})\}?")
_LABEL_KEY = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]?")
_HEX_IDENTIFIER = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[0-9a-f]*[0-9])[0-9a-f]{16,})\b", re.IGNORECASE)  # fmt: skip
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
# Stored units of one value: an eighth of what a total can hold (SQLite's 64 bits).
MOST_STORED = 2**60
_ADVICE = "use one of a small, fixed set of values, such as a category"


class MisuseError(ValueError):
    """A call that can not be recorded; the message says what was expected."""


class Vocabulary:
    """The names and labels that one monitor's calls may use.

    Args:
        labels: label keys beside the catalog's.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        self._registered: frozenset[str] = frozenset()
        if isinstance(labels, str):
            raise MisuseError(f"labels: a tuple of label keys is expected, such as ({labels!r},)")
        for key in labels:
            self.register_label(key)

    def register_label(self, key: str) -> None:
        """Lets calls use another label key.

        Raises:
            MisuseError: it is no label key.
        """
        if not isinstance(key, str) or not _LABEL_KEY.fullmatch(key) or key.startswith("__"):
            raise MisuseError(
                f"label {key!r}: a key of lower-case letters, digits and _ is expected, such as 'customer'"
            )
        self._registered |= {key}

    def metric(self, name: str, kind: Kind | None, unit: str | None = None) -> Metric:
        """The metric that a name stands for; ``kind`` None takes that of the catalog, else a counter.

        Raises:
            MisuseError: no metric name, or a metric of another kind.
        """
        if not isinstance(name, str) or not is_metric_name(short := short_name(name)):
            raise MisuseError(
                f"{name!r} is no metric name: letters, digits and _ are expected, no digit first, at most 100 characters, "
                "such as 'api_calls'"
            )
        known = BY_SHORT_NAME.get(short)
        if known is not None:
            if not known.common:
                raise MisuseError(f"{name!r} is the product's own metric; choose another name")
            if kind is not None and kind is not known.kind:
                raise MisuseError(
                    f"{name!r} is a {known.kind} ({known.prometheus_name}), it can not be used as a {kind}"
                )
            return known
        metric = metric_of(f"{NAME_PREFIX}{short}", kind or _kind_in_use(short) or Kind.COUNTER, _unit(unit))
        in_use = _remember(short, metric)
        if in_use.kind is not metric.kind:
            raise MisuseError(
                f"{name!r} is already used as a {in_use.kind} in this program, it can not be a {metric.kind} as well"
            )
        if unit is not None and in_use.unit != metric.unit:
            raise MisuseError(f"{name!r} already has the unit {in_use.unit!r} in this program, not {metric.unit!r}")
        return in_use

    def labels(self, metric: Metric, labels: Mapping[str, object] | None) -> dict[str, str]:
        """The normalized labels of one recording, a catalog metric's missing ones by their defaults.

        Raises:
            MisuseError: an unknown key, or an unbounded value.
        """
        found: dict[str, str] = {}
        if labels is not None and not isinstance(labels, Mapping):
            raise MisuseError(f"labels: a dict of label key to value is expected, not {type(labels).__name__}")
        own = set(metric.labels) | set(IDENTITY_LABELS)
        is_declared = metric.name not in _CATALOG_NAMES
        for key, value in (labels or {}).items():
            if key not in self._registered and key not in (KNOWN_LABELS if is_declared else own):
                known = sorted((KNOWN_LABELS if is_declared else own) | self._registered)
                raise MisuseError(
                    f"unknown label {key!r}; known for this metric: {', '.join(known)}. "
                    f"Another one has to be registered first: AgentMonitor(..., labels=({key!r},)) or register_label({key!r})"
                )
            found[key] = bounded(value, f"label {key!r}")
        for key in metric.labels:
            found.setdefault(key, default_label(key))
        return found


_CATALOG_NAMES = frozenset(metric.name for metric in BY_SHORT_NAME.values())
# Short name → the declared metric that this program has used it for, over all monitors: a kind is a name's for ever.
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
    """A label's value, normalized as every label is.

    >>> bounded(" Back End ", "agent_id")
    'back-end'
    >>> bounded("/home/ann/shop", "label 'project'")
    Traceback (most recent call last):
    ...
    claude_hooks_otel.sdk.names.MisuseError: label 'project': a path is no label value, as there is no bound to how many there are; use one of a small, fixed set of values, such as a category

    Raises:
        MisuseError: it is empty, or there would be no bound to how many values there are.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MisuseError(f"{what}: a short text is expected, not {type(value).__name__}")
    text = str(value).strip()
    kind = None
    if len(text) > MAX_LABEL_LENGTH:
        kind = f"a text of {len(text)} characters"
    elif "/" in text or "\\" in text or _DRIVE.match(text):
        kind = "a path"
    elif _HEX_IDENTIFIER.search(text):
        kind = "an identifier or hash"
    elif _EMAIL.search(text):
        kind = "an e-mail address"
    if kind is not None:
        raise MisuseError(f"{what}: {kind} is no label value, as there is no bound to how many there are; {_ADVICE}")
    normalized = normalize(text, "")
    if not normalized:
        raise MisuseError(f"{what}: a text with a letter or digit is expected, not {value!r}")
    return normalized


def number(value: object, metric: Metric) -> int | float:
    """A value that a metric can take: finite, in range, never negative but for gauges, whole where wholes are counted.

    Raises:
        MisuseError: it is not that.
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
    if value < 0 and metric.kind is not Kind.GAUGE:
        raise MisuseError(f"{metric.name} is a {metric.kind}: it only grows, {value} can not be added; use a gauge")
    if metric.scale == 1 and metric.kind is not Kind.GAUGE and value != int(value):
        raise MisuseError(f"{metric.name} counts in whole {metric.unit.strip('{}')}s: {value} is not whole")
    if metric.kind is not Kind.GAUGE and value * metric.scale >= MOST_STORED:
        raise MisuseError(f"{metric.name}: up to {MOST_STORED / metric.scale:.0e} is expected, not {value}")
    return value


def _from_number_type(value: object) -> float | None:
    """Decimal, Fraction and the scalars of numerical libraries: whatever says it is a number."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
