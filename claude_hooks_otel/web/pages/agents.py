"""The agents: level, experience, scores, and what each delivered at which cost."""

from __future__ import annotations

from typing import Any, Final

from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.formats import dollars, number, share
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.report.breakdown import NONE, Figures
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.settings import ScoresConfig, load_usable
from claude_hooks_otel.units import DOLLAR, MINUTE
from claude_hooks_otel.web.question import Question
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page, View

_SCORES: Final = (
    catalog.AGENT_LEVEL, catalog.AGENT_XP, catalog.EFFICIENCY, catalog.QUALITY, catalog.COLLABORATION,
)  # fmt: skip
# While nothing in the store changes, only the time window of the scores moves: so often they are computed again, nanoseconds.
SCORES_KEPT_UNCHANGED: Final = 5 * MINUTE
# Efficiency is in points per so many tokens, as on the dashboards.
TOKENS_OF_EFFICIENCY: Final = 1_000_000
_HEADS: Final = (
    Head("agent", is_number=False),
    Head("project", is_number=False),
    Head("level", hint="Grows with experience. Each level takes more than the one before."),
    Head("experience", hint="The weighted sum of all that the agent has ever delivered since the installation."),
    Head("efficiency", hint="Story points per million new tokens in the time window of scores."),
    Head("quality", hint="How well the work passes checks: the lower end of Wilson's 95 % interval."),
    Head("collaboration", hint="How well hand-overs end: the lower end of Wilson's 95 % interval."),
    Head("tasks", hint="Tasks that were completed in the range."),
    Head("points", hint="Story points that were delivered in the range."),
    Head("cost", hint="What the agent cost in the range."),
    Head("cost per point", hint="The cost of the range, divided by its story points."),
)


def build(view: View) -> Page:
    """Return the page."""
    config = load_usable(view.home.config, view.home.last_config, {})[0].scores
    scores = _scores(view, config)
    rows = view.by("agent", "project").rows
    wanted = view.question.only
    groups = {group: figures for group, figures in rows.items() if any(figures.amounts.values())}
    for group in scores:
        if all(group[place] in wanted[name] for place, name in enumerate(("agent", "project")) if wanted.get(name)):
            groups.setdefault(group, Figures())
    table = Table("agents", "Agents", _HEADS, empty="No agent worked in this range.")
    for group, figures in sorted(groups.items(), key=lambda each: (-each[1].amounts.get("cost_usd", 0), each[0])):
        _add(table, group, figures, scores.get(group, {}), view.question)
    values = {
        "window_days": config.window_days,
        "has_scores": bool(scores),
        "experience": _bars(groups, scores, config),
    }
    return Page("agents", "Agents", {table.name: table}, values)


def _scores(view: View, config: ScoresConfig) -> dict[tuple[str, ...], dict[str, float]]:
    """Return agent and project → the OTLP name of each score → its value. Of several teams and sprints, the largest value counts."""
    now_ns = view.question.now_ns
    version = (view.version, now_ns // SCORES_KEPT_UNCHANGED, config.model_dump_json())

    def compute() -> list[SeriesPoint]:
        return Scores(FactReader(view.connection), config).points(read_points(view.connection, catalog.CATALOG), now_ns)

    points = view.memory.keep("scores", version, compute)
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for point in points:
        labels = dict(point.labels)
        of_agent = found.setdefault((labels.get("agent", NONE), labels.get("project", NONE)), {})
        value = point.value / point.metric.scale
        of_agent[point.metric.name] = max(value, of_agent.get(point.metric.name, value))
    return found


def _add(table: Table, group: tuple[str, ...], figures: Figures, scores: dict[str, float], question: Question) -> None:
    href = question.url_of("/sessions", dict(zip(("agent", "project"), group, strict=True)))
    level, experience, efficiency, quality, collaboration = (scores.get(metric.name) for metric in _SCORES)
    tasks, points = (figures.amounts.get(name) for name in ("tasks", "story_points"))
    cost = figures.amounts.get("cost_usd")
    per_point = None if cost is None or not points else cost / DOLLAR / points
    million = None if efficiency is None else efficiency * TOKENS_OF_EFFICIENCY
    table.rows.append(
        [
            *(Cell(text, text, href) for text in group),
            Cell("–" if level is None else f"{level:.0f}", level, badge=level is not None),
            Cell("–" if experience is None else number(experience), experience),
            Cell("–" if million is None else f"{million:,.1f}", million),
            *(Cell("–" if each is None else share(each), each, share=each) for each in (quality, collaboration)),
            Cell(number(tasks) if tasks else "–", tasks),
            Cell(number(points) if points else "–", points),
            Cell("–" if cost is None else dollars(cost / DOLLAR), cost, href),
            Cell("–" if per_point is None else dollars(per_point), per_point),
        ]
    )
    table.records.append(
        {
            "agent": group[0], "project": group[1], "level": level, "experience": experience, "points_per_million_tokens": million,
            "quality": quality, "collaboration": collaboration, "tasks": tasks, "story_points": points,
            "cost_usd": None if cost is None else cost / DOLLAR, "cost_per_point_usd": per_point,
        }
    )  # fmt: skip


def _bars(
    groups: dict[tuple[str, ...], Figures], scores: dict[tuple[str, ...], dict[str, float]], config: ScoresConfig
) -> list[dict[str, Any]]:
    """Return how far each agent is on the way to its next level, the most experienced first."""
    found: list[dict[str, Any]] = []
    for group in groups:
        of_agent = scores.get(group, {})
        experience, level = (of_agent.get(metric.name) for metric in (catalog.AGENT_XP, catalog.AGENT_LEVEL))
        if experience is None or level is None:
            continue
        begin, end = ((level - 1) ** 2 * config.xp_per_level, level**2 * config.xp_per_level)
        found.append(
            {
                "agent": group[0], "project": group[1], "level": f"{level:.0f}", "experience": number(experience), "exact": experience,
                "next": number(end - experience), "share": (experience - begin) / (end - begin),
            }
        )  # fmt: skip
    return sorted(found, key=lambda each: -each["exact"])[:8]
