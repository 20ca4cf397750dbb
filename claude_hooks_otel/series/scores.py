"""The scores of agents: experience, level, efficiency, quality, collaboration. The configuration has their weights.

The catalog defines each score with an example. Experience and level are computed from the series, which are kept for ever, the other
scores from the facts of a time window. Without evidence an agent has no score, and with little evidence a low one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import COMMON_LABELS, FIELDS, IDENTITY_LABELS, Identity, Labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import ScoresConfig
from claude_hooks_otel.timeline import SCORES_KEPT
from claude_hooks_otel.units import DAY

# Standard normal quantile of a two-sided 95 % interval.
_Z: Final = 1.96

_IDENTITY = ", ".join(FIELDS.values())
# Each query yields the values of FIELDS, then good and all. Of the runs of a suite in one session, the last one counts.
_SUITES = f"""
    SELECT {_IDENTITY}, SUM(outcome = 'passed'), COUNT(*) FROM (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY session_id, framework ORDER BY at_ns DESC, tool_use_id DESC, ordinal DESC) AS back
        FROM suite_run WHERE at_ns > ?
    ) WHERE back = 1 GROUP BY {_IDENTITY}
"""  # noqa: S608 — no foreign text, here and below
_PULL_REQUESTS = f"""
    SELECT {_IDENTITY}, SUM(action = 'merged'), COUNT(*) FROM pull_request
    WHERE at_ns > ? AND action IN ('merged', 'closed') GROUP BY {_IDENTITY}
"""  # noqa: S608
_REGRESSIONS = f"SELECT {_IDENTITY}, 0, SUM(bugs) FROM regression WHERE at_ns > ? GROUP BY {_IDENTITY}"  # noqa: S608
_SUBAGENTS = f"""
    SELECT {_IDENTITY}, SUM(outcome = 'completed'), COUNT(*) FROM subagent_turn
    WHERE MAX(ended_ns, COALESCE(started_ns, 0)) > ? GROUP BY {_IDENTITY}
"""  # noqa: S608
_OWNED_TASKS = f"""
    SELECT {_IDENTITY}, SUM(completed_ns IS NOT NULL), COUNT(*) FROM task
    WHERE owner IS NOT NULL AND COALESCE(completed_ns, created_ns) > ? GROUP BY {_IDENTITY}
"""  # noqa: S608
_POINTS = f"SELECT {_IDENTITY}, SUM(COALESCE(story_points, 1)), 0 FROM task WHERE completed_ns > ? GROUP BY {_IDENTITY}"  # noqa: S608
_NEW_TOKENS = f"""
    SELECT {_IDENTITY}, SUM(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens), 0
    FROM api_request WHERE at_ns > ? AND error IS NULL GROUP BY {_IDENTITY}
"""  # noqa: S608


def wilson_lower_bound(good: float, total: float) -> float:
    """Return the lower bound of Wilson's 95 % interval for a share.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        good: how many ended well. It may be weighted.
        total: how many there were; greater than 0.

    >>> round(wilson_lower_bound(9, 10), 2), round(wilson_lower_bound(90, 100), 2), round(wilson_lower_bound(1, 1), 2)
    (0.6, 0.83, 0.21)
    """
    share = good / total
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    return max(0.0, (share + _Z**2 / (2 * total) - spread) / (1 + _Z**2 / total))


class Scores:
    """The scores of every agent of a store.

    Args:
        facts: the facts of the store.
        config: the weights and the time window.
    """

    def __init__(self, facts: FactReader, config: ScoresConfig) -> None:
        self._facts = facts
        self._config = config
        self._fresh_until_ns = 0
        self._points: list[SeriesPoint] = []

    def points(self, series: Iterable[SeriesPoint], now_ns: int, *, recompute: bool = False) -> list[SeriesPoint]:
        """Return the scores. They are computed at most once in SCORES_KEPT.

        Args:
            series: every cumulative series.
            now_ns: the time, Unix nanoseconds.
            recompute: compute them now, even if the last ones are still fresh.
        """
        if recompute or not self._fresh_until_ns - SCORES_KEPT <= now_ns < self._fresh_until_ns:
            since_ns = now_ns - self._config.window_days * DAY
            self._points = [
                SeriesPoint(metric, labels, now_ns, round(value * metric.scale))
                for metric, labels, value in (*self._experience(series), *self._windowed(since_ns))
            ]
            self._fresh_until_ns = now_ns + SCORES_KEPT
        return self._points

    def _experience(self, series: Iterable[SeriesPoint]) -> Iterator[tuple[Metric, Labels, float]]:
        weights = self._config.xp
        worth = {
            catalog.STORY_POINTS: weights.story_point,
            catalog.FEATURES: weights.feature,
            catalog.COMMITS: weights.commit,
            catalog.PULL_REQUESTS: weights.pull_request_merged,
            catalog.BUGS: -weights.bug_introduced,
        }
        earned: defaultdict[Labels, float] = defaultdict(float)
        for point in series:
            labels = dict(point.labels)
            if point.metric not in worth or labels.keys().isdisjoint(COMMON_LABELS):
                continue
            if point.metric is not catalog.PULL_REQUESTS or labels.get("action") == "merged":
                identity = tuple((key, value) for key, value in point.labels if key in IDENTITY_LABELS)
                earned[identity] += worth[point.metric] * point.value
        for identity, xp in earned.items():
            yield catalog.AGENT_XP, identity, max(0.0, xp)
            yield catalog.AGENT_LEVEL, identity, 1 + math.floor(math.sqrt(max(0.0, xp) / self._config.xp_per_level))

    def _windowed(self, since_ns: int) -> Iterator[tuple[Metric, Labels, float]]:
        delivered, used = self._rows(_POINTS, since_ns), self._rows(_NEW_TOKENS, since_ns)
        for identity, (tokens, _) in used.items():
            if tokens > 0:
                yield catalog.EFFICIENCY, identity, delivered.get(identity, (0.0, 0.0))[0] / tokens
        quality, collaboration = self._config.quality, self._config.collaboration
        evidence = {
            catalog.QUALITY: {
                _SUITES: quality.test_suite,
                _PULL_REQUESTS: quality.pull_request,
                _REGRESSIONS: quality.bug_introduced,
            },
            catalog.COLLABORATION: {
                _SUBAGENTS: collaboration.subagent,
                _OWNED_TASKS: collaboration.task,
                _PULL_REQUESTS: collaboration.pull_request,
            },
        }
        for metric, weights in evidence.items():
            for identity, share in self._shares(since_ns, weights):
                yield metric, identity, share

    def _shares(self, since_ns: int, weights: Mapping[str, float]) -> Iterator[tuple[Labels, float]]:
        """Yield the share of good results over several queries, for each identity that has evidence."""
        good: defaultdict[Labels, float] = defaultdict(float)
        total: defaultdict[Labels, float] = defaultdict(float)
        for query, weight in weights.items():
            for identity, (ended_well, count) in self._rows(query, since_ns).items():
                good[identity] += weight * ended_well
                total[identity] += weight * count
        for identity, count in total.items():
            if count > 0:
                yield identity, wilson_lower_bound(good[identity], count)

    def _rows(self, query: str, since_ns: int) -> dict[Labels, tuple[float, float]]:
        """Return labels → the sums of the two figures. Identities can differ in what is on no metric."""
        found: dict[Labels, tuple[float, float]] = {}
        for *values, first, second in self._facts.connection.execute(query, (since_ns,)):
            if values[0] is not None:
                labels = Identity(*values).labels()
                before = found.get(labels, (0.0, 0.0))
                found[labels] = before[0] + (first or 0), before[1] + (second or 0)
        return found
