"""The dashboard "Executive"."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from claude_hooks_otel.metrics import catalog as c
from monitoring.dashboards.panels import Board, Column, Query, bars, chosen, grid, lines, number, ranking
from monitoring.expressions import BAR, Series, open_seconds, share

_LIST_PRICE = "At list prices, as the client computes it. On a subscription, read it as the equivalent API cost."


def executive() -> models.Dashboard:
    """Return the dashboard that shows cost, use of agents, delivery and quality."""
    board = Board("claude-executive", "Cost, use of agents, delivery and quality.", "7d")
    _headline(board)
    _cost(board.row("Cost"))
    _who(board.row("Who"))
    _delivery(board.row("Delivery"))
    _quality(board.row("Quality"))
    return board.build()


def _headline(board: Board) -> None:
    cost = chosen(c.COST)
    for title, span in (("Cost, last 24 h", "1d"), ("Cost, last 7 days", "7d"), ("Cost, last 30 days", "30d")):
        board.add(number(title, _LIST_PRICE, Query(cost.grown(span)), "currencyUSD", decimals=2), 4, 4)
    board.add(
        number(
            "Cost in range",
            f"The cost in the dashboard's time range. {_LIST_PRICE}",
            Query(cost.grown()),
            "currencyUSD",
            decimals=2,
        ),
        4,
        4,
    )
    board.add(number("Sessions in range", c.SESSIONS.meaning, Query(chosen(c.SESSIONS).grown())), 4, 4)
    board.add(
        number(
            "Agents at work now", "How many agents have an active session now.",
            Query(f"count({chosen(c.SESSIONS_ACTIVE).now('sum', ['agent'])} > 0)"),
        ), 4, 4,
    )  # fmt: skip


def _cost(board: Board) -> None:
    cost = chosen(c.COST)
    board.add(
        bars("Cost by project", _LIST_PRICE, [Query(cost.grown(BAR, ["project"]), "{{project}}")], "currencyUSD"), 16
    )
    board.add(ranking("Cost by model", _LIST_PRICE, Query(cost.grown(by=["model"]), "{{model}}"), "currencyUSD"), 8)
    board.add(bars("Cost by agent", _LIST_PRICE, [Query(cost.grown(BAR, ["agent"]), "{{agent}}")], "currencyUSD"), 16)
    board.add(
        ranking(
            "Agent utilization",
            "The share of the time in which the agent's sessions were open that it worked on prompts. Nights and weekends without a "
            f"session do not count. Working on prompts: {c.ACTIVE_TIME.meaning}",
            Query(
                share(chosen(c.ACTIVE_TIME).grown(by=["agent"]), open_seconds(chosen(c.SESSIONS_ACTIVE).now("sum", ["agent"]))),
                "{{agent}}",
            ), "percentunit", top=1.0,
        ), 8,
    )  # fmt: skip
    # Not filtered by the dashboard's variables: a budget has no project and no agent as labels.
    by = ["instance", "scope", "name", "period"]
    legend = "{{period}}: {{scope}} {{name}} ({{instance}})"
    for title, metric in (("Budgets: used", c.BUDGET_USED), ("Budgets: forecast", c.BUDGET_FORECAST)):
        query = Query(Series(metric).latest("max", by, "15m"), legend)
        board.add(
            ranking(title, metric.meaning, query, "percentunit", steps=((None, "green"), (0.8, "orange"), (1, "red"))),
            12,
        )


def _who(board: Board) -> None:
    for title, key in (("Teams", "team"), ("Users", "user"), ("Machines", "machine")):
        board.add(
            grid(
                title, f"What each {key} cost and did in the time range. What has no such label is in the row without a name.", [key],
                [
                    Column("Cost", chosen(c.COST).grown(by=[key]), "currencyUSD", 2),
                    Column("Sessions", chosen(c.SESSIONS).grown(by=[key])),
                    Column("Active time", chosen(c.ACTIVE_TIME).grown(by=[key]), "s"),
                    Column("Tasks done", chosen(c.TASKS_COMPLETED).grown(by=[key])),
                ],
                "Cost",
            ), 8,
        )  # fmt: skip


def _delivery(board: Board) -> None:
    cost = chosen(c.COST)
    by_project = ["project"]
    board.add(
        grid(
            "Projects", "What each project cost and delivered in the time range.", by_project,
            [
                Column("Cost", cost.grown(by=by_project), "currencyUSD", 2),
                Column("Sessions", chosen(c.SESSIONS).grown(by=by_project)),
                Column("Tasks done", chosen(c.TASKS_COMPLETED).grown(by=by_project)),
                Column("Features", chosen(c.FEATURES).grown(by=by_project)),
                Column("Story points", chosen(c.STORY_POINTS).grown(by=by_project)),
                Column("Commits", chosen(c.COMMITS).grown(by=by_project)),
                Column("Lines added", chosen(c.LINES_ADDED).grown(by=by_project)),
                Column("Lines deleted", chosen(c.LINES_DELETED).grown(by=by_project)),
            ],
            "Cost",
        ), 16, 9,
    )  # fmt: skip
    board.add(number("Features delivered", c.FEATURES.meaning, Query(chosen(c.FEATURES).grown())), 4, 9)
    board.add(
        number(
            "Cost per story point", "Cost in the time range, divided by the story points delivered in it.",
            Query(share(cost.grown(), chosen(c.STORY_POINTS).grown())), "currencyUSD", decimals=2,
        ), 4, 9,
    )  # fmt: skip
    board.add(
        bars(
            "Tasks completed",
            c.TASKS_COMPLETED.meaning,
            [Query(chosen(c.TASKS_COMPLETED).grown(BAR, ["task_type"]), "{{task_type}}")],
        ),
        12,
    )
    board.add(
        bars(
            "Commits and pull requests", "Commits of sessions, and what sessions did with pull requests.",
            [
                Query(chosen(c.COMMITS).grown(BAR), "commits"),
                Query(chosen(c.PULL_REQUESTS).grown(BAR, ["action"]), "pull requests {{action}}"),
            ],
        ), 12,
    )  # fmt: skip


def _quality(board: Board) -> None:
    runs = chosen(c.TEST_RUNS)
    board.add(
        number(
            "Test runs passed", "The share of the test runs in the time range in which every test passed.",
            Query(share(chosen(c.TEST_RUNS, 'outcome="passed"').grown(), runs.grown())), "percentunit",
            steps=((None, "red"), (0.5, "orange"), (0.8, "green")), decimals=0,
        ), 4, 6,
    )  # fmt: skip
    board.add(
        number(
            "Bugs introduced", c.BUGS.meaning, Query(chosen(c.BUGS).grown()),
            steps=((None, "green"), (1, "orange"), (5, "red")),
        ), 4, 6,
    )  # fmt: skip
    board.add(
        lines(
            "Quality score by agent", c.QUALITY.meaning,
            [Query(chosen(c.QUALITY).latest(by=["agent"], span=BAR), "{{agent}}")], "percentunit", top=1.0,
        ),
        16, 6,
    )  # fmt: skip
