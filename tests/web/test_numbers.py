"""The numbers of the page are those of `report`, of OTLP, and of the sessions behind them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.report.breakdown import COLUMNS
from claude_hooks_otel.report.daily_sums import DailySums, add_up
from claude_hooks_otel.report.ranges import parse_range, range_before
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.traces.session_facts import SessionFacts
from claude_hooks_otel.traces.spans import spans_of_turns
from claude_hooks_otel.units import DAY, HOUR
from claude_hooks_otel.web.pages import sessions
from claude_hooks_otel.web.question import Question
from tests.support.otlp_receiver import OtlpReceiver
from tests.web.conftest import WEEK_NS, Served

Report = Callable[..., dict[str, Any]]
# A range whose days begin at midnight, as text of an address and as options of the command.
RANGE = "?since=2026-11-16&until=2026-11-27&tz=UTC"
OPTIONS = ("--since", "2026-11-16", "--until", "2026-11-27", "--tz", "UTC")


@pytest.fixture
def report(week_home: Home, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run `report --json` on the home of the page."""
    monkeypatch.setenv(HOME_VARIABLE, str(week_home.root))

    def run(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(make_app(), ["report", *arguments, "--json"])
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return run


@pytest.mark.parametrize(
    ("table", "group"), [("agents", "agent"), ("projects", "project"), ("models", "model"), ("times", "day")]
)
def test_the_tables_of_the_overview_equal_the_report(week: Served, report: Report, table: str, group: str) -> None:
    expected = report(*OPTIONS, "--by", group)["rows"]
    found = week.table("overview", table, RANGE)
    assert len(found) > 2
    for wanted, row in zip(expected, found, strict=True):
        assert wanted == {name: row[name] for name in wanted}


def test_a_filter_gives_what_the_report_gives_with_it(week: Served, report: Report) -> None:
    expected = report(*OPTIONS, "--by", "day", "--agent", "backend", "--only", "model=claude-opus-4-5")["rows"]
    found = week.table("overview", "times", f"{RANGE}&agent=backend&model=claude-opus-4-5")
    assert [row["cost_usd"] for row in found] == [row["cost_usd"] for row in expected]


def test_the_large_figures_equal_the_total_of_the_report(week: Served, report: Report) -> None:
    total = report(*OPTIONS)["total"]
    text = week.ask(f"/{RANGE}").text
    shown = [part.partition('"')[0] for part in text.split('class="figure" data-exact="')[1:]]
    tokens = sum(total[name] for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"))
    expected = [total["cost_usd"], tokens, total["sessions"], total["active_seconds"], total["cache_hit_share"]]
    assert list(map(float, shown)) == pytest.approx(expected)


def test_the_sessions_of_each_day_add_up_to_the_day(week: Served) -> None:
    days = week.table("overview", "times", RANGE)
    for day in days:
        sessions = week.table("sessions", "sessions", f"?since={day['day']}&until={day['day']}&tz=UTC")
        assert sum(row["range_cost_usd"] or 0 for row in sessions) == pytest.approx(day["cost_usd"], abs=1e-9)
        assert sum(row["range_requests"] for row in sessions) == day["requests"]
        assert sum(row["range_tokens_out"] for row in sessions) == day["output_tokens"]


@pytest.mark.parametrize(("table", "groups"), [("agents", ["agent"]), ("projects", ["project"]), ("models", ["model"])])
def test_the_sessions_behind_each_row_add_up_to_the_row(week: Served, table: str, groups: list[str]) -> None:
    for row in week.table("overview", table, RANGE):
        query = "".join(f"&{group}={row[group]}" for group in groups)
        sessions = week.table("sessions", "sessions", f"{RANGE}{query}")
        assert sessions
        assert sum(each["range_cost_usd"] or 0 for each in sessions) == pytest.approx(row["cost_usd"], abs=1e-9)


def test_the_sessions_behind_a_tool_are_those_that_called_it(week: Served) -> None:
    tools = {row["tool"]: row for row in week.table("technical", "tools", RANGE)}
    sessions = week.table("sessions", "sessions", f"{RANGE}&tool=webfetch")
    assert 0 < len(sessions) <= tools["webfetch"]["calls"]
    assert len(sessions) < len(week.table("sessions", "sessions", RANGE))


def test_the_page_equals_the_totals_that_went_out_over_otlp(
    week_home: Home, week: Served, tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(week_home.root, home.root)
    endpoint = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    assert flush_now(home, 60, endpoint).ok
    sent: dict[str, float] = {}
    for (name, _), value in otlp_receiver.latest_totals().items():
        if isinstance(value, int | float):
            sent[name] = sent.get(name, 0) + value
    rows = week.table("overview", "projects", "?range=all")
    for column, metric in (
        ("cost_usd", "claude.api.cost.usd"), ("output_tokens", "claude.tokens.output"), ("requests", "claude.api.requests"),
        ("sessions", "claude.sessions"), ("tool_calls", "claude.tool.calls"), ("active_seconds", "claude.active_time"),
        ("lines_added", "claude.lines.added"), ("commits", "claude.commits"), ("tasks", "claude.tasks.completed"),
    ):  # fmt: skip
        assert sum(row.get(column) or 0 for row in rows) == pytest.approx(sent[metric], rel=1e-9), column
    tests = week.table("quality", "tests", "?range=all")
    assert sum(row["test_runs"] or 0 for row in tests) == sent["claude.test.runs"]


def test_the_agents_have_the_scores_that_go_out_over_otlp(week: Served) -> None:
    rows = week.table("agents", "agents", "?range=all")
    assert {row["agent"] for row in rows} == {"backend", "frontend", "reviewer", "platform", "docs"}
    for row in rows:
        assert row["level"] >= 1
        assert 0 <= row["quality"] <= 1
        assert row["cost_per_point_usd"] == pytest.approx(row["cost_usd"] / row["story_points"])


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("overview", "agents"),
        ("agents", "agents"),
        ("quality", "tests"),
        ("technical", "tools"),
        ("sessions", "sessions"),
    ],
)
def test_csv_and_json_of_a_table_have_the_same_rows(week: Served, page: str, table: str) -> None:
    rows = week.table(page, table, "?range=all")
    answer = week.ask(f"/tables/{page}/{table}.csv?range=all")
    read = list(csv.DictReader(answer.text.splitlines()))
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(read) == len(rows) > 0
    for name, value in rows[0].items():
        assert read[0][name] == ("" if value is None else str(value))


def test_every_link_of_a_page_leads_to_a_page(week: Served) -> None:
    seen: set[str] = set()
    for page in ("/", "/agents", "/quality", "/technical", "/sessions", "/live", "/health"):
        text = week.ask(page).text
        links = {part.partition('"')[0].replace("&amp;", "&") for part in text.split('href="')[1:]}
        for link in sorted(links - seen):
            seen.add(link)
            if not link.startswith("#"):
                assert week.ask(link).status == 200, (page, link)
    assert len(seen) > 60


def test_a_session_shows_the_spans_that_go_out_over_otlp(week: Served) -> None:
    session = max(week.table("sessions", "sessions", "?range=all"), key=lambda row: row["turns"])
    text = week.ask(f"/sessions/{session['session_id']}").text
    with closing(connect(week.home.store, readonly=True)) as connection:
        facts = SessionFacts.of(FactReader(connection), session["session_id"])
    assert facts is not None
    spans = [span for turn in spans_of_turns(facts).spans.values() for span in turn]
    assert sorted(re.findall(r'data-span="([0-9a-f]{16})"', text)) == sorted(f"{span.span_id:016x}" for span in spans)
    assert len(re.findall(r'class="bar depth-[0-9] request', text)) == session["requests"]
    steps = week.table("session", "steps", f"?session={session['session_id']}")
    assert sum(step["cost"] or 0 for step in steps) == pytest.approx(session["cost"])


def test_a_session_is_found_by_its_words_its_branch_and_its_id(week: Served) -> None:
    rows = week.table("sessions", "sessions", "?range=all")
    wanted = rows[3]
    for search in (wanted["session_id"][:8], wanted["branch"], wanted["first_words"]):
        text = week.ask(f"/sessions?range=all&q={search.replace(' ', '%20')}").text
        assert wanted["session_id"][:8] in text
    assert "matches the search" in week.ask("/sessions?range=all&q=nothing-like-this").text


def test_the_budgets_equal_the_command(budgeted: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(budgeted.home.root))
    with monkeypatch.context() as patch:
        patch.setattr("time.time_ns", lambda: WEEK_NS)
        result = CliRunner().invoke(make_app(), ["budgets", "--json"])
    expected = json.loads(result.stdout)["budgets"]
    assert [each["blocks_prompts"] for each in expected] == [True, False, False, False]
    for query in ("", "?range=today&agent=docs"):
        assert budgeted.table("overview", "budgets", query) == expected
        section = budgeted.ask(f"/{query}").text.partition('id="budgets"')[2].partition("</section>")[0]
        for each in expected:
            assert f"${each['used_usd']:,.2f} of ${each['limit_usd']:,.2f}" in section
            assert f"forecast ${each['forecast_usd']:,.2f} ({each['forecast_share']:.0%})" in section
        bars = re.findall(r'class="done" width="([0-9.]+)%"', section)
        assert list(map(float, bars)) == pytest.approx(
            [100 * min(1, each["used_share"]) for each in expected], abs=0.01
        )


def test_without_budgets_the_page_does_not_mention_them(week: Served) -> None:
    assert "udget" not in week.ask("/").text
    assert week.ask("/tables/overview/budgets.json").status == 404


# -- the range in the address ----------------------------------------------------------------------------------------------------


def test_the_sums_by_day_equal_the_sums_by_half_hour(week_home: Home, utc: None) -> None:
    sums = DailySums()
    for options in ({"word": "all"}, {"last": "9d"}, {"since": "2026-11-18T09:30", "until": "2026-11-20T10:00"}):
        for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
            given = {"word": None, "since": None, "until": None, "last": None} | options
            within = parse_range(given.pop("word"), zone=zone, now_ns=WEEK_NS, **given)
            with closing(connect(week_home.store, readonly=True)) as connection:
                plain = add_up(read_aggregates(connection, within.since_ns, within.until_ns))
                for _ in range(2):  # the second time from memory
                    daily = add_up(sums.read(connection, within))
                    found = {(each.metric, each.labels): (each.value, each.count) for each in daily}
                    assert found == {(each.metric, each.labels): (each.value, each.count) for each in plain}


def test_the_range_before_has_the_same_length() -> None:
    week = parse_range(None, since=None, until=None, last="7d", zone="UTC", now_ns=WEEK_NS)
    before = range_before(week, WEEK_NS)
    assert before is not None
    assert (before.since_ns, before.until_ns) == (week.since_ns - 7 * DAY, WEEK_NS - 7 * DAY)
    today = parse_range("today", since=None, until=None, last=None, zone="UTC", now_ns=WEEK_NS)
    before = range_before(today, WEEK_NS)
    assert before is not None
    assert (before.since_ns, before.until_ns) == (today.since_ns - DAY, WEEK_NS - DAY)
    assert (
        range_before(parse_range("all", since=None, until=None, last=None, zone=None, now_ns=WEEK_NS), WEEK_NS) is None
    )


def test_the_first_day_of_a_range_that_begins_within_it_leads_to_its_rest() -> None:
    question = Question.of([("last", "168h"), ("tz", "UTC"), ("agent", "backend")], WEEK_NS)
    link = question.url_of("/sessions", {"day": "2026-11-20"})
    given = dict(parse_qsl(urlsplit(link).query))
    assert given["agent"] == "backend"
    assert datetime.fromisoformat(given["since"]).hour == 18
    again = Question.of(given.items(), WEEK_NS).within
    assert (again.since_ns, again.until_ns) == (
        question.within.since_ns,
        question.within.since_ns + 5 * HOUR + HOUR // 2,
    )


def test_the_last_days_are_whole_on_the_page_and_in_the_report(week: Served) -> None:
    days = [row["day"] for row in week.table("overview", "times", "?last=7d&tz=UTC")]
    assert days[0] == "2026-11-21"
    same = week.table("overview", "times", "?since=2026-11-21&until=2026-11-27&tz=UTC")
    assert week.table("overview", "times", "?last=7d&tz=UTC") == same


def test_a_search_reads_the_newest_sessions_and_says_so(week: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = week.table("sessions", "sessions", "?range=all")
    monkeypatch.setattr(sessions, "SEARCHED", 10)
    found = week.table("sessions", "sessions", "?range=all&q=opus")
    newest = {row["session_id"] for row in sorted(rows, key=lambda row: -row["began_ns"])[:10]}
    assert found == [row for row in rows if row["session_id"] in newest and "opus" in (row["model"] or "")]
    text = week.ask("/sessions?range=all&q=opus").text
    assert f"The search has read the newest 10 of {len(rows)} sessions" in text


def test_every_figure_of_the_report_is_in_the_exports(week: Served) -> None:
    (row, *_) = week.table("overview", "agents", "?range=all")
    assert {column.name for column in COLUMNS} - set(row) <= {"unpriced_tokens", "errors"}
