"""How much of each budget is used, and how much will be used when its period ends if it goes on like this.

The forecast is what is used so far plus the mean cost per time of the last seven days, times the time that is left:

    forecast = used + cost of the last 7 days / 7 days * (end - now)

A store that is younger than seven days divides by its age, which counts as at least one day. Seven days have each day of the week
once, so nights and weekends count as they do in practice. Source: the average method in R. J. Hyndman and G. Athanasopoulos,
"Forecasting: Principles and Practice", 3rd edition, section 5.2 (each future value is expected to be the mean of the past ones).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import Labels, normalize
from claude_hooks_otel.series.aggregates import BUCKET, read_sums
from claude_hooks_otel.series.periods import Period, find_zone, moment, nanoseconds, period_around
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings.budgets import BudgetsConfig, Scope
from claude_hooks_otel.units import DAY, DOLLAR

# The past on which a forecast is based: at most, and at least.
LONGEST_PAST, SHORTEST_PAST = 7 * DAY, DAY
# Percent at which a budget is used up.
USED_UP: Final = 100


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget in its present period. Money is in picodollars, times are Unix nanoseconds.

    Attributes:
        scope: ``all``, ``agent``, ``project`` or ``team``.
        name: the agent, project or team, as the labels of series spell it; ``all`` for everything.
        period: ``day``, ``week`` or ``month``.
        begin_ns: when the period began.
        end_ns: when it is over.
        limit: how much it may cost.
        used: what it has cost so far. ``report`` has the same figure for this range.
        forecast: what it will have cost at its end.
        unpriced_tokens: tokens of models without a known price, which ``used`` lacks.
        thresholds: percent at which notifications are sent, the lowest first.
    """

    scope: Scope
    name: str
    period: Period
    begin_ns: int
    end_ns: int
    limit: int
    used: int
    forecast: int
    unpriced_tokens: int
    thresholds: tuple[int, ...]

    @property
    def used_share(self) -> float:
        """The used share; 1 is the whole limit."""
        return self.used / self.limit

    @property
    def forecast_share(self) -> float:
        """The share that will be used when the period ends; 1 is the whole limit."""
        return self.forecast / self.limit

    @property
    def is_used_up(self) -> bool:
        """Whether the limit is reached or exceeded."""
        return self.used >= self.limit

    @property
    def reached(self) -> int | None:
        """The highest threshold that is reached, in percent; None below the lowest."""
        return max((percent for percent in self.thresholds if self.used * 100 >= percent * self.limit), default=None)

    @property
    def key(self) -> str:
        """A text that names the budget and its present period, for example ``month/agent/backend/1790000000000000000``."""
        return f"{self.period}/{self.scope}/{self.name}/{self.begin_ns}"


def read_budgets(connection: sqlite3.Connection, config: BudgetsConfig, now_ns: int) -> list[BudgetState]:
    """Return the state of every budget, in the order of the configuration.

    Args:
        connection: a connection to the store.
        config: the budgets.
        now_ns: the time, Unix nanoseconds.

    Raises:
        sqlite3.Error: the store cannot be read, or is none.
    """
    limits = {(scope, _name(scope, name), period): dollars for scope, name, period, dollars in config.limits()}
    if not limits:
        return []
    now = moment(now_ns, find_zone(config.time_zone))
    ranges: dict[Period, tuple[int, int]] = {}
    for _, _, period in limits:
        begin, end = period_around(period, now)
        ranges[period] = nanoseconds(begin), nanoseconds(end)
    past_ns = _past(connection, now_ns)
    costs = {period: read_sums(connection, catalog.COST, *within) for period, within in ranges.items()}
    unpriced = {period: read_sums(connection, catalog.UNPRICED_TOKENS, *within) for period, within in ranges.items()}
    past = read_sums(connection, catalog.COST, now_ns - past_ns, now_ns + 1)
    thresholds = tuple(sorted(set(config.thresholds)))
    found = []
    for (scope, name, period), dollars in limits.items():
        begin_ns, end_ns = ranges[period]
        used, tokens = (_sum(sums[period], scope, name) for sums in (costs, unpriced))
        forecast = used + _sum(past, scope, name) * max(0, end_ns - now_ns) // past_ns
        limit = max(1, int(dollars * DOLLAR))
        found.append(BudgetState(scope, name, period, begin_ns, end_ns, limit, used, forecast, tokens, thresholds))
    return found


def kept_budgets(states: Iterable[BudgetState]) -> list[tuple[str | int, ...]]:
    """Return the rows of the table ``budget_state``, in the order of its key."""
    return sorted(
        (
            (
                each.scope,
                each.name,
                each.period,
                each.begin_ns,
                each.end_ns,
                each.limit,
                each.used,
                each.unpriced_tokens,
            )
            for each in states
        ),
        key=lambda row: row[:3],
    )


def budget_points(states: Iterable[BudgetState], now_ns: int) -> Iterator[SeriesPoint]:
    """Yield the gauges of budgets, with a time in Unix nanoseconds."""
    for state in states:
        labels = (("name", state.name), ("period", state.period), ("scope", state.scope))
        for metric, share in (
            (catalog.BUDGET_USED, state.used_share),
            (catalog.BUDGET_FORECAST, state.forecast_share),
        ):
            yield SeriesPoint(metric, labels, now_ns, round(share * metric.scale))


def _name(scope: Scope, name: str) -> str:
    return name if scope == "all" else normalize(name)


def _past(connection: sqlite3.Connection, now_ns: int) -> int:
    """Return how far the forecast looks back, in nanoseconds."""
    (first,) = connection.execute("SELECT MIN(bucket) FROM aggregate").fetchone()
    age = 0 if first is None else now_ns - first * BUCKET
    return min(LONGEST_PAST, max(SHORTEST_PAST, age))


def _sum(sums: Mapping[Labels, int], scope: Scope, name: str) -> int:
    """Return the sum of one agent, project or team, or of everything."""
    return sum(value for labels, value in sums.items() if scope == "all" or (scope, name) in labels)
