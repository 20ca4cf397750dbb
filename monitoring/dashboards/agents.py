"""The dashboard "Agent performance"."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from claude_hooks_otel.metrics import catalog as c
from monitoring.dashboards.panels import Board, Column, Query, bars, chosen, grid, lines, ranking
from monitoring.expressions import BAR, per_million, share

_BY = ["agent"]
_EFFICIENCY = "The efficiency score, times a million."


def agents() -> models.Dashboard:
    """Return the dashboard that shows activity, scores, cost and time of each agent."""
    board = Board("claude-agents", "What each agent did, what it cost, and how well it worked.", "24h")
    _activity(board)
    _sessions(board.row("Sessions"))
    _scores(board.row("Scores"))
    _cost_and_time(board.row("Cost and time"))
    _work(board.row("Work"))
    return board.build()


def _activity(board: Board) -> None:
    board.add(
        grid(
            "Agents", "The activity of each agent in the time range.", _BY,
            [
                Column("Cost", chosen(c.COST).grown(by=_BY), "currencyUSD", 2),
                Column("Sessions", chosen(c.SESSIONS).grown(by=_BY)),
                Column("Prompts", chosen(c.PROMPTS).grown(by=_BY)),
                Column("Active time", chosen(c.ACTIVE_TIME).grown(by=_BY), "s"),
                Column("Tokens in", chosen(c.TOKENS_INPUT).grown(by=_BY)),
                Column("Tokens out", chosen(c.TOKENS_OUTPUT).grown(by=_BY)),
                Column("Cache hits", _cache_hits(), "percentunit", 0),
                Column("Tool calls", chosen(c.TOOL_CALLS).grown(by=_BY)),
                Column("Files modified", chosen(c.FILES_MODIFIED).grown(by=_BY)),
                Column("Lines added", chosen(c.LINES_ADDED).grown(by=_BY)),
                Column("Lines deleted", chosen(c.LINES_DELETED).grown(by=_BY)),
                Column("Tasks done", chosen(c.TASKS_COMPLETED).grown(by=_BY)),
                Column("Story points", chosen(c.STORY_POINTS).grown(by=_BY)),
            ],
            "Cost",
        ), 24, 9,
    )  # fmt: skip


def _cache_hits() -> str:
    return share(chosen(c.TOKENS_INPUT, 'cache="read"').grown(by=_BY), chosen(c.TOKENS_INPUT).grown(by=_BY))


def _sessions(board: Board) -> None:
    by = ["agent", "project"]
    sessions, cost = chosen(c.SESSIONS), chosen(c.COST)
    board.add(
        grid(
            "Sessions", "The sessions of each agent and project in the time range. Open: they are open now.", by,
            [
                Column("Sessions", sessions.grown(by=by)),
                Column("Open", chosen(c.SESSIONS_ACTIVE).now("sum", by)),
                Column("Mean duration", chosen(c.SESSION_DURATION).mean(by=by), "s"),
                Column("Prompts per session", share(chosen(c.PROMPTS).grown(by=by), sessions.grown(by=by)), "short", 1),
                Column("Cost per session", share(cost.grown(by=by), sessions.grown(by=by)), "currencyUSD", 2),
                Column("Active time", chosen(c.ACTIVE_TIME).grown(by=by), "s"),
                Column("Compactions", chosen(c.COMPACTIONS).grown(by=by)),
            ],
            "Sessions",
        ), 16,
    )  # fmt: skip
    board.add(
        ranking(
            "Cache hits", "The share of each agent's input tokens that came from the prompt cache.",
            Query(_cache_hits(), "{{agent}}"), "percentunit", steps=((None, "orange"), (0.5, "green")), top=1.0,
        ), 8,
    )  # fmt: skip


def _scores(board: Board) -> None:
    board.add(
        grid(
            "Level", "The last experience and scores of each agent in the time range.", _BY,
            [
                Column("Level", chosen(c.AGENT_LEVEL).latest(by=_BY)),
                Column("XP", chosen(c.AGENT_XP).latest(by=_BY)),
                Column("Points per million tokens", per_million(chosen(c.EFFICIENCY).latest(by=_BY)), "short", 0),
                Column("Quality", chosen(c.QUALITY).latest(by=_BY), "percentunit", 0),
                Column("Collaboration", chosen(c.COLLABORATION).latest(by=_BY), "percentunit", 0),
            ],
            "XP",
        ), 10,
    )  # fmt: skip
    board.add(
        lines(
            "Efficiency (points per million tokens)",
            f"{_EFFICIENCY} {c.EFFICIENCY.meaning}",
            [Query(per_million(chosen(c.EFFICIENCY).latest(by=_BY, span=BAR)), "{{agent}}")],
        ),
        7,
    )
    board.add(lines("XP", c.AGENT_XP.meaning, [Query(chosen(c.AGENT_XP).latest(by=_BY, span=BAR), "{{agent}}")]), 7)


def _cost_and_time(board: Board) -> None:
    cost, turns = chosen(c.COST), chosen(c.TURN_DURATION)
    board.add(bars("Cost", c.COST.meaning, [Query(cost.grown(BAR, _BY), "{{agent}}")], "currencyUSD"), 12)
    board.add(
        bars("Active time", c.ACTIVE_TIME.meaning, [Query(chosen(c.ACTIVE_TIME).grown(BAR, _BY), "{{agent}}")], "s"), 12
    )
    board.add(
        ranking("Turn duration, median", c.TURN_DURATION.meaning, Query(turns.quantile(0.5, by=_BY), "{{agent}}"), "s"),
        8,
    )
    board.add(
        ranking("Session duration, mean", c.SESSION_DURATION.meaning,
                Query(chosen(c.SESSION_DURATION).mean(by=_BY), "{{agent}}"), "s"), 8,
    )  # fmt: skip
    board.add(
        ranking(
            "Task duration, mean",
            c.TASK_DURATION.meaning,
            Query(chosen(c.TASK_DURATION).mean(by=_BY), "{{agent}}"),
            "s",
        ),
        8,
    )


def _work(board: Board) -> None:
    board.add(bars("Tool calls", c.TOOL_CALLS.meaning, [Query(chosen(c.TOOL_CALLS).grown(BAR, _BY), "{{agent}}")]), 12)
    board.add(
        lines(
            "Active sessions", c.SESSIONS_ACTIVE.meaning,
            [Query(chosen(c.SESSIONS_ACTIVE).peak("sum", _BY), "{{agent}}")],
        ), 12,
    )  # fmt: skip
    board.add(
        ranking(
            "Tasks created", c.TASKS_CREATED.meaning,
            Query(chosen(c.TASKS_CREATED).grown(by=["agent", "task_type"]), "{{agent}} {{task_type}}"),
        ), 12,
    )  # fmt: skip
    board.add(
        ranking(
            "Sub-agents", c.SUBAGENTS.meaning,
            Query(chosen(c.SUBAGENTS).grown(by=["agent", "agent_type"]), "{{agent}} {{agent_type}}"),
        ), 12,
    )  # fmt: skip
