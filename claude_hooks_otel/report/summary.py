"""What the sessions did, as rows of plain numbers: per agent and project, per model, per tool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.store.connection import connect


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What one agent did on one project. Tokens and counts are totals, the cost is in US dollars.

    The cost lacks the ``unpriced`` tokens: those of models without a known price. It is None if no token has a price.
    """

    agent: str
    project: str
    sessions: float
    prompts: float
    tokens_in: float
    tokens_out: float
    cost: float | None
    unpriced: float
    tool_calls: float
    lines_added: float
    lines_deleted: float
    commits: float
    tasks: float
    story_points: float
    tests: float
    subagents: float


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What one type of agent used of one model. ``uncached``, ``read``, ``written`` and ``output`` are tokens.

    The cost is in US dollars; None where the model has no known price.
    """

    model: str
    agent_type: str
    requests: float
    uncached: float
    read: float
    written: float
    output: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """The calls of one tool, by outcome. ``mean_seconds`` is None where no call was timed."""

    tool: str
    calls: float
    ok: float
    failed: float
    refused: float
    other: float
    mean_seconds: float | None


def read_series(store: Path, *, agent: str | None = None, project: str | None = None) -> list[SeriesPoint]:
    """Return the series of a store. If an agent or a project is given, return only its series.

    Raises:
        sqlite3.Error: there is no store, or it cannot be read.
    """
    wanted = {key: normalize(value) for key, value in (("agent", agent), ("project", project)) if value}
    with closing(connect(store, readonly=True)) as connection:
        return [
            point for point in read_points(connection, catalog.CATALOG) if wanted.items() <= dict(point.labels).items()
        ]


def has_history(store: Path) -> bool:
    """Return whether sessions were imported. No series counts them.

    Raises:
        sqlite3.Error: there is no store, or it cannot be read.
    """
    with closing(connect(store, readonly=True)) as connection:
        is_known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'imported_session'").fetchone()
        return bool(is_known and connection.execute("SELECT 1 FROM imported_session LIMIT 1").fetchone())


def as_json(point: SeriesPoint) -> dict[str, Any]:
    """Return a series as an object for JSON, its value in the unit of its Prometheus name."""
    scale = point.metric.scale
    value = point.value if scale == 1 else point.value / scale
    plain: dict[str, Any] = {"name": point.metric.prometheus_name, "labels": dict(point.labels), "value": value}
    if point.metric.kind is Kind.HISTOGRAM:
        plain["count"] = point.count
    return plain


def by_agent(points: Iterable[SeriesPoint]) -> list[AgentRow]:
    """Return a row for each agent and project, sorted."""
    sums = _Sums(points, "agent", "project")
    return [
        AgentRow(
            agent=group[0],
            project=group[1],
            sessions=sums.get(group, catalog.SESSIONS),
            prompts=sums.get(group, catalog.PROMPTS),
            tokens_in=sums.get(group, catalog.TOKENS_INPUT),
            tokens_out=sums.get(group, catalog.TOKENS_OUTPUT),
            cost=_known(sums.get(group, catalog.COST), sums.get(group, catalog.UNPRICED_TOKENS)),
            unpriced=sums.get(group, catalog.UNPRICED_TOKENS),
            tool_calls=sums.get(group, catalog.TOOL_CALLS),
            lines_added=sums.get(group, catalog.LINES_ADDED),
            lines_deleted=sums.get(group, catalog.LINES_DELETED),
            commits=sums.get(group, catalog.COMMITS),
            tasks=sums.get(group, catalog.TASKS_COMPLETED),
            story_points=sums.get(group, catalog.STORY_POINTS),
            tests=sums.get(group, catalog.TESTS),
            subagents=sums.get(group, catalog.SUBAGENTS),
        )
        for group in sums.groups
    ]


def by_model(points: Iterable[SeriesPoint]) -> list[ModelRow]:
    """Return a row for each model and type of agent, sorted."""
    points = list(points)
    sums, unpriced = _Sums(points, "model", "agent_type"), _Sums(points, "model")

    def row(group: tuple[str, ...]) -> ModelRow:
        read, write_5m, write_1h, uncached = (
            sums.get(group, catalog.TOKENS_INPUT, f"cache={kind}") for kind in ("read", "write_5m", "write_1h", "none")
        )
        return ModelRow(
            model=group[0],
            agent_type=group[1],
            requests=sums.get(group, catalog.API_REQUESTS),
            uncached=uncached,
            read=read,
            written=write_5m + write_1h,
            output=sums.get(group, catalog.TOKENS_OUTPUT),
            cost=_known(sums.get(group, catalog.COST), unpriced.get(group[:1], catalog.UNPRICED_TOKENS)),
        )

    return [row(group) for group in sums.groups]


def by_tool(points: Iterable[SeriesPoint]) -> list[ToolRow]:
    """Return a row for each tool, sorted."""
    sums = _Sums((point for point in points if point.metric in (catalog.TOOL_CALLS, catalog.TOOL_DURATION)), "tool")

    def row(group: tuple[str, ...]) -> ToolRow:
        def calls(*outcomes: str) -> float:
            return sum(sums.get(group, catalog.TOOL_CALLS, f"outcome={outcome}") for outcome in outcomes)

        timed = sums.count(group, catalog.TOOL_DURATION)
        return ToolRow(
            tool=group[0],
            calls=sums.get(group, catalog.TOOL_CALLS),
            ok=calls("success"),
            failed=calls("error"),
            refused=calls("rejected", "denied"),
            other=calls("interrupted", "invalid"),
            mean_seconds=sums.get(group, catalog.TOOL_DURATION) / timed if timed else None,
        )

    return [row(group) for group in sums.groups]


def _known(cost: float, unpriced: float) -> float | None:
    """Return a cost, or None if there is none because no price is known."""
    return cost if cost or not unpriced else None


class _Sums:
    """Sums of metrics over groups of label values."""

    def __init__(self, points: Iterable[SeriesPoint], *by: str) -> None:
        self._sums: defaultdict[tuple[str, ...], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._scale = {metric.name: metric.scale for metric in catalog.METRICS}
        for point in points:
            labels = dict(point.labels)
            if not point.metric.common or any(name not in labels for name in by):
                continue
            group = self._sums[tuple(labels[name] for name in by)]
            group[point.metric.name] += point.value
            group[f"{point.metric.name}#"] += point.count
            for key, value in labels.items():
                group[f"{point.metric.name}|{key}={value}"] += point.value

    @property
    def groups(self) -> list[tuple[str, ...]]:
        return sorted(self._sums)

    def get(self, group: tuple[str, ...], metric: Metric, label: str = "") -> float:
        name = f"{metric.name}|{label}" if label else metric.name
        return self._sums[group][name] / self._scale[metric.name]

    def count(self, group: tuple[str, ...], metric: Metric) -> int:
        return self._sums[group][f"{metric.name}#"]
