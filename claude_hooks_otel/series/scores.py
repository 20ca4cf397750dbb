"""What an agent's record is worth: experience, level, efficiency, quality, collaboration. Judgements, with their weights in the config.

Each is defined in the catalog, in a sentence and an example. Experience is computed from the series, which are kept for ever; the
others from the facts of a window. None of them can be earned by doing nothing: without evidence there is no score, and with little
evidence a low one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import COMMON_LABELS, IDENTITY_LABELS, Identity, Labels
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import ScoresConfig
from claude_hooks_otel.timeline import SCORES_KEPT
from claude_hooks_otel.units import DAY

# Standard normal quantile of a two-sided 95 % interval.
_Z: Final = 1.96

_IDENTITY = "agent, project, team, sprint"
# Each yields (agent, project, team, sprint, good, all). The last run of a suite in a session is the state in which it was left.
_SUITES = f"""
    SELECT {_IDENTITY}, SUM(outcome = 'passed'), COUNT(*) FROM (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY session_id, framework ORDER BY at_ns DESC, tool_use_id DESC, ordinal DESC) AS back
        FROM suite_run WHERE at_ns > ?
    ) WHERE back = 1 GROUP BY {_IDENTITY}
"""  # noqa: S608 -- our own names, here and below
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
    """The lower end of Wilson's 95 % interval of a share: what so much evidence can vouch for.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        good: how many ended well; may be weighted.
        total: how many there were, greater than 0.

    >>> round(wilson_lower_bound(9, 10), 2), round(wilson_lower_bound(90, 100), 2), round(wilson_lower_bound(1, 1), 2)
    (0.6, 0.83, 0.21)
    """
    share = good / total
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    return max(0.0, (share + _Z**2 / (2 * total) - spread) / (1 + _Z**2 / total))


class Scores:
    """The scores of every agent of a store.

    Args:
        facts: what is known.
        config: weights and window.
    """

    def __init__(self, facts: Facts, config: ScoresConfig) -> None:
        self._facts = facts
        self._config = config
        self._fresh_until_ns = 0
        self._points: list[SeriesPoint] = []

    def points(self, series: Iterable[SeriesPoint], now_ns: int, *, anew: bool = False) -> list[SeriesPoint]:
        """The scores as of now, or as of at most SCORES_KEPT ago.

        Args:
            series: every cumulative series as it stands.
            now_ns: the time.
            anew: compute them now, however fresh the last ones are.
        """
        if anew or not self._fresh_until_ns - SCORES_KEPT <= now_ns < self._fresh_until_ns:
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
                whose = tuple((key, value) for key, value in point.labels if key in IDENTITY_LABELS)
                earned[whose] += worth[point.metric] * point.value
        for whose, xp in earned.items():
            yield catalog.AGENT_XP, whose, max(0.0, xp)
            yield catalog.AGENT_LEVEL, whose, 1 + math.floor(math.sqrt(max(0.0, xp) / self._config.xp_per_level))

    def _windowed(self, since_ns: int) -> Iterator[tuple[Metric, Labels, float]]:
        delivered = {whose: points for whose, points, _ in self._rows(_POINTS, since_ns)}
        for whose, tokens, _ in self._rows(_NEW_TOKENS, since_ns):
            if tokens > 0:
                yield catalog.EFFICIENCY, whose, delivered.get(whose, 0.0) / tokens
        quality, collaboration = self._config.quality, self._config.collaboration
        yield from self._share(
            catalog.QUALITY,
            since_ns,
            (
                (_SUITES, quality.test_suite),
                (_PULL_REQUESTS, quality.pull_request),
                (_REGRESSIONS, quality.bug_introduced),
            ),
        )
        yield from self._share(
            catalog.COLLABORATION,
            since_ns,
            (
                (_SUBAGENTS, collaboration.subagent),
                (_OWNED_TASKS, collaboration.task),
                (_PULL_REQUESTS, collaboration.pull_request),
            ),
        )

    def _share(
        self, metric: Metric, since_ns: int, kinds: Iterable[tuple[str, float]]
    ) -> Iterator[tuple[Metric, Labels, float]]:
        """The share of what ended well, over all kinds of evidence, for everybody who has some."""
        good: defaultdict[Labels, float] = defaultdict(float)
        total: defaultdict[Labels, float] = defaultdict(float)
        for query, weight in kinds:
            for whose, ended_well, count in self._rows(query, since_ns):
                good[whose] += weight * ended_well
                total[whose] += weight * count
        for whose, count in total.items():
            if count > 0:
                yield metric, whose, wilson_lower_bound(good[whose], count)

    def _rows(self, query: str, since_ns: int) -> Iterator[tuple[Labels, float, float]]:
        for agent, project, team, sprint, first, second in self._facts.connection.execute(query, (since_ns,)):
            if agent is not None:
                yield Identity(agent, project, team, sprint).labels(), first or 0, second or 0
