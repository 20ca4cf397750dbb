"""The dashboard "Quality"."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from claude_hooks_otel.metrics import catalog as c
from monitoring.dashboards.panels import Board, Column, Query, bars, chosen, grid, lines, number, ranking
from monitoring.expressions import BAR, share

_PASSED = ((None, "red"), (0.5, "orange"), (0.8, "green"))


def quality() -> models.Dashboard:
    """Return the dashboard that shows tests, coverage, bugs, pull requests and reviews."""
    board = Board("claude-quality", "Tests, coverage, bugs, pull requests and review times.", "7d")
    _headline(board)
    _tests(board.row("Tests"))
    _pull_requests(board.row("Pull requests"))
    _code(board.row("Code"))
    return board.build()


def _headline(board: Board) -> None:
    runs, tests = chosen(c.TEST_RUNS), chosen(c.TESTS)
    board.add(number("Test runs", c.TEST_RUNS.meaning, Query(runs.grown())), 4, 4)
    board.add(
        number(
            "Runs passed", "The share of the test runs in which every test passed.",
            Query(share(chosen(c.TEST_RUNS, 'outcome="passed"').grown(), runs.grown())), "percentunit",
            steps=_PASSED, decimals=0,
        ), 4, 4,
    )  # fmt: skip
    board.add(
        number(
            "Tests passed", "The share of the tests that passed. Skipped tests count in the total.",
            Query(share(chosen(c.TESTS, 'outcome="passed"').grown(), tests.grown())), "percentunit",
            steps=_PASSED, decimals=0,
        ), 4, 4,
    )  # fmt: skip
    board.add(
        number(
            "Bugs introduced", c.BUGS.meaning, Query(chosen(c.BUGS).grown()),
            steps=((None, "green"), (1, "orange"), (5, "red")),
        ), 4, 4,
    )  # fmt: skip
    board.add(number("Commits", c.COMMITS.meaning, Query(chosen(c.COMMITS).grown())), 4, 4)
    board.add(
        number(
            "Review, median", c.REVIEW_DURATION.meaning, Query(chosen(c.REVIEW_DURATION).quantile(0.5)), "s",
            steps=((None, "green"), (14_400, "orange"), (86_400, "red")),
        ), 4, 4,
    )  # fmt: skip


def _tests(board: Board) -> None:
    runs, tests = chosen(c.TEST_RUNS), chosen(c.TESTS)
    board.add(bars("Test runs", c.TEST_RUNS.meaning, [Query(runs.grown(BAR, ["outcome"]), "{{outcome}}")]), 8)
    board.add(bars("Tests", c.TESTS.meaning, [Query(tests.grown(BAR, ["outcome"]), "{{outcome}}")]), 8)
    board.add(
        ranking(
            "Coverage", c.TEST_COVERAGE.meaning,
            Query(chosen(c.TEST_COVERAGE).latest(by=["agent", "project"]), "{{agent}} {{project}}"), "percent",
            steps=((None, "red"), (50, "orange"), (80, "green")), top=100,
        ), 8,
    )  # fmt: skip
    board.add(
        grid(
            "Frameworks", "Test runs and tests by framework and project.", ["framework", "project"],
            [
                Column("Runs", runs.grown(by=["framework", "project"])),
                Column("Failed runs", chosen(c.TEST_RUNS, 'outcome!="passed"').grown(by=["framework", "project"])),
                Column("Tests", tests.grown(by=["framework", "project"])),
                Column("Failed tests", chosen(c.TESTS, 'outcome=~"failed|error"').grown(by=["framework", "project"])),
            ],
            "Runs",
        ), 12,
    )  # fmt: skip
    board.add(
        lines(
            "Quality score",
            c.QUALITY.meaning,
            [Query(chosen(c.QUALITY).latest(by=["agent"], span=BAR), "{{agent}}")],
            "percentunit",
            top=1.0,
        ),
        12,
    )


def _pull_requests(board: Board) -> None:
    board.add(
        bars(
            "Pull requests",
            c.PULL_REQUESTS.meaning,
            [Query(chosen(c.PULL_REQUESTS).grown(BAR, ["action"]), "{{action}}")],
        ),
        8,
    )
    board.add(
        ranking(
            "Review, 90 % within", c.REVIEW_DURATION.meaning,
            Query(chosen(c.REVIEW_DURATION).quantile(0.9, by=["project"]), "{{project}}"), "s",
        ), 8,
    )  # fmt: skip
    board.add(
        bars(
            "Commits and branches", c.COMMITS.meaning,
            [Query(chosen(c.COMMITS).grown(BAR), "commits"), Query(chosen(c.BRANCHES).grown(BAR), "branches")],
        ), 8,
    )  # fmt: skip


def _code(board: Board) -> None:
    board.add(
        bars(
            "Lines", c.LINES_ADDED.meaning,
            [Query(chosen(c.LINES_ADDED).grown(BAR), "added"), Query(chosen(c.LINES_DELETED).grown(BAR), "deleted")],
        ), 8,
    )  # fmt: skip
    board.add(
        ranking(
            "Lines added by file type", c.LINES_ADDED.meaning,
            Query(chosen(c.LINES_ADDED).grown(by=["file_type"]), "{{file_type}}"),
        ), 8,
    )  # fmt: skip
    board.add(
        ranking(
            "Patterns extracted", c.PATTERNS_EXTRACTED.meaning,
            Query(chosen(c.PATTERNS_EXTRACTED).grown(by=["agent"]), "{{agent}}"),
        ), 8,
    )  # fmt: skip
