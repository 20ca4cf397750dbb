"""Quality: tests, coverage, bugs, pull requests and their reviews."""

from __future__ import annotations

from typing import Any, Final

from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.formats import duration, number, percent, share
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.report.breakdown import Column, Figures
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.web.charts import stacked
from claude_hooks_otel.web.pages.overview import Headline
from claude_hooks_otel.web.tables import Cell, Head, Table, figures_table
from claude_hooks_otel.web.view import Page, View


def _count(name: str, title: str, metric: Metric, **labels: str) -> Column:
    return Column(name, title, ((metric, labels),))


RUNS: Final = (
    _count("test_runs", "runs", catalog.TEST_RUNS),
    _count("test_runs_passed", "runs passed", catalog.TEST_RUNS, outcome="passed"),
    _count("test_runs_failed", "runs failed", catalog.TEST_RUNS, outcome="failed"),
    _count("test_runs_with_errors", "runs with errors", catalog.TEST_RUNS, outcome="error"),
    _count("tests_passed", "tests passed", catalog.TESTS, outcome="passed"),
    _count("tests_failed", "tests failed", catalog.TESTS, outcome="failed"),
    _count("tests_skipped", "tests skipped", catalog.TESTS, outcome="skipped"),
)
DELIVERY: Final = (
    _count("bugs", "bugs", catalog.BUGS),
    _count("pull_requests_created", "PRs opened", catalog.PULL_REQUESTS, action="created"),
    _count("pull_requests_merged", "PRs merged", catalog.PULL_REQUESTS, action="merged"),
    _count("pull_requests_closed", "PRs closed", catalog.PULL_REQUESTS, action="closed"),
    Column("reviews", "reviews", ((catalog.REVIEW_DURATION, {}),), is_number=True),
    Column("review_seconds", "time in review", ((catalog.REVIEW_DURATION, {}),), "seconds"),
    _count("commits", "commits", catalog.COMMITS),
    _count("tasks", "tasks", catalog.TASKS_COMPLETED),
)
PASSED: Final = Column("passed", "passed", ((catalog.TEST_RUNS, {"outcome": "passed"}),))
FAILED: Final = Column(
    "failed", "failed", ((catalog.TEST_RUNS, {"outcome": "failed"}), (catalog.TEST_RUNS, {"outcome": "error"}))
)


def build(view: View) -> Page:
    """Return the page."""
    by_agent = view.by("agent", "project", columns=(*RUNS, *DELIVERY))
    tests = figures_table("tests", "Tests", view.by("agent", "project", columns=RUNS), view.question)
    tests.empty = "No test suite ran in this range. Runs of pytest, jest, go test and others in Bash calls count."
    delivery = figures_table(
        "delivery", "Bugs, pull requests and reviews", view.by("agent", "project", columns=DELIVERY), view.question
    )
    delivery.empty = "No bugs, pull requests, commits or tasks in this range."
    coverage = _coverage(view)
    chart = _chart(view)
    return Page(
        "quality",
        "Quality",
        {table.name: table for table in (tests, delivery, coverage)},
        {
            "headlines": _headlines(view, by_agent.total),
            "chart": chart,
            "chart_title": f"Test runs by {view.question.step}",
        },
    )


def _chart(view: View) -> dict[str, Any]:
    """Return the runs of test suites over time, those that passed below those that failed."""
    step = view.question.step
    chart = stacked(view.by(step, columns=(PASSED, FAILED)), PASSED, view.question)
    chart["series"] += stacked(view.by(step, columns=(PASSED, FAILED)), FAILED, view.question)["series"]
    chart["tones"] = [{PASSED.title: "good", FAILED.title: "bad"}[series["name"]] for series in chart["series"]]
    return chart


def _headlines(view: View, total: Figures) -> list[Headline]:
    amounts = total.amounts
    runs, passed = amounts.get("test_runs", 0), amounts.get("test_runs_passed", 0)
    reviews, seconds = amounts.get("reviews", 0), total.value(DELIVERY[5]) or 0
    merged = amounts.get("pull_requests_merged", 0)
    href = view.question.url("/sessions")
    return [
        Headline("Test runs", number(runs) if runs else "–", runs, "", "", href),
        Headline("Runs that passed", share(passed / runs if runs else None), passed, "", "", href),
        Headline("Bugs introduced", number(amounts.get("bugs", 0)), amounts.get("bugs", 0), "", "", href),
        Headline("Pull requests merged", number(merged) if merged else "–", merged, "", "", href),
        Headline("Mean time in review", duration(seconds / reviews) if reviews else "–", reviews, "", "", href),
    ]


def _coverage(view: View) -> Table:
    """Return the test coverage of each agent and project, as the newest run reported it."""
    heads = [Head("agent", is_number=False), Head("project", is_number=False), Head("coverage")]
    table = Table("coverage", "Test coverage", heads, empty="No test run has reported its coverage yet.")
    wanted = view.question.only
    for point in gauges(FactReader(view.connection), view.question.now_ns):
        labels = dict(point.labels)
        group = (labels["agent"], labels["project"]) if point.metric is catalog.TEST_COVERAGE else None
        if group is None or any(wanted.get(name) and labels[name] not in wanted[name] for name in ("agent", "project")):
            continue
        value = point.value / point.metric.scale
        href = view.question.url_of("/sessions", {"agent": group[0], "project": group[1]})
        table.rows.append(
            [*(Cell(text, text, href) for text in group), Cell(percent(value, 1), value, share=value / 100)]
        )
        table.records.append({"agent": group[0], "project": group[1], "coverage_percent": value})
    table.note = "As the newest test run reported it, whatever the range." if table.rows else ""
    return table
