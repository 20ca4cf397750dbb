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


def differences(one: Mapping[Labels, float], other: Mapping[Labels, float]) -> dict[Labels, tuple[float, float]]:
    """Return both values where they differ, apart from NaN and missing values: VictoriaMetrics returns no NaN."""
    both = {key: (one.get(key, math.nan), other.get(key, math.nan)) for key in one.keys() | other.keys()}
    return {
        key: (left, right)
        for key, (left, right) in both.items()
        if not (math.isnan(left) and math.isnan(right)) and not math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    }


def graph_differences(one: Graph, other: Graph) -> dict[Labels, tuple[float, float]]:
    """Return both values of every point in which two graphs differ, apart from NaN. Its labels have the time as well."""
    flat = (
        {_with_time(key, at): value for key, points in each.items() for at, value in points} for each in (one, other)
    )
    return differences(*flat)


def _with_time(labels: Labels, at: float) -> Labels:
    return labels | {("time", f"{at:.3f}")}
