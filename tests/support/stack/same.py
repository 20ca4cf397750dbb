"""Compare what two servers with the same samples answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monitoring.rig.stack import Labels, PrometheusApi

Graph = Mapping[Labels, list[tuple[float, float]]]


def samples(server: PrometheusApi, at: float) -> dict[Labels, list[tuple[float, float]]]:
    """Return the samples of our series in the hour before a time. VictoriaMetrics shows the markers of an ended series as NaN."""
    found = server.ask("query", query='{__name__=~"claude_.+|ALERTS|up"}[1h]', time=f"{at:.3f}")["result"]
    series = {
        frozenset(each["metric"].items()): [(at, float(value)) for at, value in each["values"] if value != "NaN"]
        for each in found
    }
    return {labels: values for labels, values in series.items() if values}


def is_same_without_nan(one: Mapping[Labels, float], other: Mapping[Labels, float]) -> bool:
    """Return whether both have the same labels and values, apart from NaN: VictoriaMetrics returns no NaN."""
    one, other = ({key: value for key, value in each.items() if not math.isnan(value)} for each in (one, other))
    return one.keys() == other.keys() and all(
        math.isclose(one[key], other[key], rel_tol=1e-9, abs_tol=1e-9) for key in one
    )


def is_same_graph(one: Graph, other: Graph) -> bool:
    """Return whether both have the same labels, points and values, apart from NaN."""
    return is_same_without_nan(
        *({_with_time(key, at): value for key, points in each.items() for at, value in points} for each in (one, other))
    )


def _with_time(labels: Labels, at: float) -> Labels:
    return labels | {("time", f"{at:.3f}")}
