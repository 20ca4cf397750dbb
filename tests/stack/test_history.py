"""Imported history in a real Prometheus: the dashboards show of the past what the store has, and live series go on."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.transcripts import make
from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.metrics.catalog import CATALOG, METRICS
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.metrics.labels import decode_labels
from claude_hooks_otel.series.aggregates import BUCKET
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import SECOND
from monitoring.expressions import BAR, CARRIED, RANGE, change, fill
from monitoring.rig.local import Pace
from monitoring.rig.stack import Labels, Stack
from tests.support.corpus import Scenario
from tests.support.real_daemon import _shifted, wait_until
from tests.support.stack.panels import PanelQuery, panel_queries
from tests.support.stack.team import Machine, final_totals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

DAY = 86_400
# The ranges of the shipped expressions, with servers that scrape and carry often.
QUICK = Pace(scrape="500ms", evaluation="1s", carry="1s")
# Recorded sessions, and how many days ago they are said to have been.
RECORDED = {"subagents": 31, "tasks": 35, "git-work": 38, "skills": 44, "lines": 47, "models": 52, "permissions": 55}
# The generator's sessions begin in the sixty days from here.
GENERATED_FROM = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
GENERATED_DAYS_AGO = 75
BLOCKS = "--max-block-duration=480h"


def aligned(at: float) -> int:
    """Return the begin of a half hour, Unix seconds."""
    return int(at) // (BUCKET // SECOND) * (BUCKET // SECOND)


# (name of the series, labels with `le`) → (begin of a half hour in Unix seconds, growth in exported units), in order of time.
Growths = dict[tuple[str, Labels], list[tuple[int, float]]]


@dataclass
class Past:
    """A machine whose history was imported and loaded into a Prometheus."""

    stack: Stack
    machine: Machine
    now: int
    file: Path
    growths: Growths = field(default_factory=dict)

    def command(self, *arguments: str) -> str:
        home = {HOME_VARIABLE: str(self.machine.installation.home.root)}
        result = CliRunner().invoke(make_app(), arguments, env=home)
        assert result.exit_code == 0, (result.output, result.stderr, result.exception)
        return result.stdout

    def load(self, folder: Path) -> None:
        write_transcripts(folder / "claude", self.now)
        self.command("import", "--config-dir", str(folder / "claude"))
        self.command("export", "openmetrics", str(self.file))
        self.stack.backfill(self.file, BLOCKS)
        with closing(connect(self.machine.installation.home.store, readonly=True)) as connection:
            rows = connection.execute(
                "SELECT metric, labels, bucket, step, value, count FROM aggregate ORDER BY 1, 2, 3"
            )
            self.growths = growths(rows)

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Return begins and ends. A begin is that of a half hour. An end is that of a half hour, or the second before."""
        days = {days: aligned(self.now - days * DAY) for days in range(1, 100)}
        return {
            "a month": (days[60], days[30]),
            "a month that ends a second early": (days[60], days[30] - 1),
            "from before the history to now": (days[90], aligned(self.now)),
            "a day of recorded sessions": (days[32], days[31]),
            "sessions of one hour": (days[35] - 3600, days[35]),
            "from a silent day to another": (days[47] - 3600, days[9]),
            "before the history": (days[95], days[90]),
        }


def write_transcripts(folder: Path, now: int) -> None:
    make(folder, count=60, turns=(1, 3, 8))
    move(folder, now - GENERATED_DAYS_AGO * DAY - GENERATED_FROM)
    for name, days in RECORDED.items():
        scenario = Scenario(name)
        scenario.write_transcripts(folder / name / "projects")
        move(folder / name, aligned(now - days * DAY) - 1 - max(hook.t for hook in scenario.hooks))
        for path in (folder / name / "projects").iterdir():
            path.rename(folder / "projects" / f"{name}-{path.name}")


def move(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*.jsonl"):
        path.write_bytes(_shifted(path.read_bytes(), seconds))


def growths(rows: Iterator[tuple[str, str, int, int, int, int]]) -> Growths:
    """Return the series that Prometheus should have, from the rows of the store."""
    found: dict[tuple[str, Labels], Counter[int]] = defaultdict(Counter)
    for name, text, bucket, step, value, count in rows:
        metric, labels, at = CATALOG[name], frozenset(decode_labels(text)), bucket * BUCKET // SECOND
        if not metric.common:
            continue
        if metric.kind is Kind.COUNTER:
            found[metric.prometheus_name, labels][at] += value
            continue
        found[f"{metric.prometheus_name}_sum", labels][at] += value
        found[f"{metric.prometheus_name}_count", labels][at] += count
        for number, bound in enumerate((*metric.buckets, math.inf)):
            reached = found[f"{metric.prometheus_name}_bucket", labels | {("le", str(bound))}]
            reached[at] += count * (number >= step)
    scales = {metric.prometheus_name: metric.scale for metric in METRICS}
    return {
        (name, labels): sorted((at, value / scales.get(name.removesuffix("_sum"), 1)) for at, value in values.items())
        for (name, labels), values in found.items()
    }


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, servers: None) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    stack = Stack(folder / "stack", QUICK)
    machine = Machine(folder / "laptop", stack.through_the_collector)
    loaded = Past(stack, machine, int(time.time()), folder / "history.txt")
    try:
        loaded.load(folder)
        with stack:
            yield loaded
    finally:
        machine.installation.close()


# -- what the store says instead of each growth in an expression ---------------------------------------------------------------

SPANS = {RANGE: None, BAR: None, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}


def from_the_store(expression: str, series: Growths, begin: int, end: int) -> str:
    """Return an expression with the store's figure in the place of every growth."""
    for name, matchers in set(re.findall(r"last_over_time\((claude_[a-z_]+?)(?:\{([^}]*)\})?\[3d\]\)", expression)):
        for span, seconds in SPANS.items():
            growth = re.escape(change(name, span, matchers))
            since = begin if seconds is None else end - seconds

            def figures(match: re.Match[str], name: str = name, matchers: str = matchers, since: int = since) -> str:
                by = {label.strip() for label in (match[1] or "").split(",")}
                return literal(grown(series, name, matchers, by, since, end))

            expression = re.sub(rf"sum(?: by \(([^)]*)\) )?\({growth}\)", figures, expression)
    return expression


def grown(series: Growths, name: str, matchers: str, by: set[str], since: int, end: int) -> dict[Labels, float]:
    sums: dict[Labels, float] = defaultdict(float)
    for (series_name, labels), values in series.items():
        if series_name == name and values[0][0] <= end and matches(dict(labels), matchers):
            group = frozenset(pair for pair in labels if pair[0] in by)
            sums[group] += sum(value for at, value in values if since <= at and at + BUCKET // SECOND - 1 <= end)
    return dict(sums)


def matches(labels: Mapping[str, str], matchers: str) -> bool:
    for key, sign, pattern in re.findall(r'(\w+)(=~|=|!=)"([^"]*)"', matchers):
        value = labels.get(key, "")
        if sign == "=~":
            fits = pattern.startswith("$") or re.fullmatch(pattern, value) is not None
        else:
            fits = (value == pattern) == (sign == "=")
        if not fits:
            return False
    return True


def literal(figures: Mapping[Labels, float]) -> str:
    """Return PromQL with these values and labels."""
    elements = []
    for labels, value in figures.items():
        element = f"vector({value!r})"
        for key, text in labels:
            element = f"label_replace({element}, {json.dumps(key)}, {json.dumps(text)}, '', '')"
        elements.append(element)
    return f"({' or '.join(elements) or 'vector(1) < 0'})"


def is_same(found: Mapping[Labels, float], expected: Mapping[Labels, float]) -> bool:
    """Return whether both have the same labels and values. Sums of floats may differ by their rounding, far below a cent."""
    return found.keys() == expected.keys() and all(
        math.isclose(found[key], expected[key], rel_tol=1e-9, abs_tol=1e-7)
        or (math.isnan(found[key]) and math.isnan(expected[key]))
        for key in found
    )


GAUGES = {metric.prometheus_name for metric in METRICS if metric.kind is Kind.GAUGE} | {
    "claude_hooks_export_age_seconds"
}


def of_growth(query: PanelQuery) -> bool:
    """Return whether a panel shows only what grew, and not gauges, whose past is not exported."""
    return not any(name in query.expr for name in GAUGES)


QUERIES = [query for query in panel_queries() if of_growth(query)]


@pytest.mark.parametrize("query", QUERIES, ids=[f"{query}-{number}" for number, query in enumerate(QUERIES)])
def test_every_panel_of_growth_shows_of_the_past_what_the_store_has(past: Past, query: PanelQuery) -> None:
    for title, (begin, end) in past.ranges().items():
        expression = from_the_store(query.expr, past.growths, begin, end)
        assert "claude_" not in expression, "an unknown way to measure growth"
        found, expected = (
            past.stack.instant(fill(text, end - begin, end - begin), end) for text in (query.expr, expression)
        )
        assert is_same(found, expected), (title, found, expected)


def test_the_ranges_have_something_to_show(past: Past) -> None:
    costs = {
        title: sum(grown(past.growths, "claude_api_cost_usd_total", "", set(), begin, end).values())
        for title, (begin, end) in past.ranges().items()
    }
    assert costs.pop("before the history") == 0
    assert min(costs.values()) > 0
    assert costs["a month"] == costs["a month that ends a second early"]
    names = {name for name, _ in past.growths}
    assert len(names) > 30
    assert "claude_turn_duration_seconds_bucket" in names


def test_cost_in_range_is_the_cost_of_the_report_to_the_cent(past: Past) -> None:
    (query,) = [query for query in QUERIES if query.panel == "Cost in range"]
    for begin, end in list(past.ranges().values())[:4]:
        times = [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}+00:00" for at in (begin, end)]
        total = json.loads(past.command("report", "--since", times[0], "--until", times[1], "--by", "day", "--json"))[
            "total"
        ]
        (found,) = past.stack.instant(query.filled(end - begin), end).values()
        assert abs(found - total["cost_usd"]) < 0.005


def test_bars_show_what_happened_in_them(past: Past) -> None:
    (query,) = [query for query in QUERIES if query.panel == "Cost by project"]
    begin, end = past.ranges()["a month"]
    bar = 6 * 3600
    shown = past.stack.over_time(query.filled(0, bar), begin + bar, end, bar)
    assert len(shown) >= 3
    for labels, points in shown.items():
        for at, value in points:
            (expected,) = (
                amount
                for group, amount in grown(
                    past.growths, "claude_api_cost_usd_total", "", {"project"}, round(at) - bar, round(at)
                ).items()
                if group == labels
            )
            assert value == pytest.approx(expected)


def test_the_rules_carry_imported_totals_on(past: Past) -> None:
    name = "claude_api_cost_usd_total"
    wait_until(lambda: bool(past.stack.instant(f'{name}{CARRIED}{{instance=~".*-history"}}')), 60)
    carried = past.stack.instant(f'sum({name}{CARRIED}{{instance=~".*-history"}})')[frozenset()]
    total = sum(value for (each, _), values in past.growths.items() if each == name for _, value in values)
    assert carried == pytest.approx(total)


def test_a_running_prometheus_finds_new_blocks_and_the_same_file_again_changes_nothing(past: Past) -> None:
    (query,) = [query for query in QUERIES if query.panel == "Cost by model"]
    begin, end = past.ranges()["a month"]
    before, number = past.stack.instant(query.filled(end - begin), end), blocks(past.stack)
    past.stack.backfill(past.file, BLOCKS)
    wait_until(lambda: blocks(past.stack) > number, 120)
    assert past.stack.instant(query.filled(end - begin), end) == before


def blocks(stack: Stack) -> int:
    """Return how many blocks Prometheus has loaded."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=30) as answer:
        found = re.search(r"^prometheus_tsdb_blocks_loaded (\d+)$", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


def test_live_series_go_on_without_a_jump(past: Past) -> None:
    past.machine.installation.start()
    past.machine.play("basic-edit")
    totals = final_totals([past.machine])
    name, instance = "claude_sessions_total", past.machine.instance
    played = sum(value for (each, _), value in totals.items() if each == name)
    assert played > 0
    live = f'sum({name}{{instance="{instance}"}})'
    wait_until(lambda: past.stack.instant(live) == {frozenset(): played}, 60)
    at = time.time()
    imported = sum(value for (each, _), values in past.growths.items() if each == name for _, value in values)
    (query,) = [query for query in QUERIES if query.panel == "Sessions in range"]
    assert past.stack.instant(query.filled(90 * DAY), at) == {frozenset(): imported + played}
    assert past.stack.instant(query.filled(3600), at) == {frozenset(): played}
    here, there = (shapes(past.stack, each) for each in (instance, f"{instance}-history"))
    common = here.keys() & there.keys()
    assert "claude_turn_duration_seconds_bucket" in common
    assert {each: here[each] for each in common} == {each: there[each] for each in common}


def shapes(stack: Stack, instance: str) -> dict[str, set[tuple[str, str]]]:
    """Return for each name which labels its series have, and the values of those that do not depend on what happened."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for labels in stack.instant(
        f'last_over_time({{__name__=~"claude_.+", __name__!~".+:carried", instance="{instance}"}}[1d])'
    ):
        for key, value in labels:
            found[dict(labels)["__name__"]].add((key, value if key in ("le", "job") else ""))
    return found
