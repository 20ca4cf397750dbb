"""Tokens and costs by day, month, session and model equal those of ccusage, except where one of the named rules explains the difference."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.transcripts import compact, make
from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.units import DOLLAR, unix_nanoseconds
from tests.support import ccusage
from tests.support.ccusage_rules import (
    CLASSES,
    Cells,
    Request,
    Rule,
    cells,
    count,
    label,
    period,
    read_lines,
    without_zeros,
)
from tests.support.corpus import SCENARIOS, Scenario

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ccusage"),
    pytest.mark.skipif(ccusage.missing() is not None, reason=str(ccusage.missing())),
]

ZONES = ("UTC", "America/New_York")  # in the second one, an hour comes twice between the generated days
PERIODS = {"day": ("daily", "date", "%Y-%m-%d"), "month": ("monthly", "month", "%Y-%m")}
# What is exact in both: ccusage adds dollars up as binary fractions.
EXACT = 1e-8
IN_AND_OUT = {"input": "in", "cache_read": "in", "cache_write": "in", "output": "out"}


@dataclass
class Compared:
    """Transcripts, a home that they were imported into, and what the rules need of them."""

    folders: Sequence[Path]
    home: Home

    def __post_init__(self) -> None:
        self.lines = read_lines(self.folders)
        self.prices = ccusage.read_prices({line.record["message"]["model"] for line in self.lines})
        self.side_requests = list(self._side_requests())

    def ours(self, *arguments: str) -> Any:
        """Return what a command of this project prints as JSON."""
        result = CliRunner().invoke(make_app(), [*arguments, "--json"], env={HOME_VARIABLE: str(self.home.root)})
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    def count(self, rules: Sequence[Rule], *, is_daily: bool = False) -> list[Request]:
        """Count the transcripts by these rules."""
        return count(self.lines, self.side_requests, rules, self.prices, is_daily=is_daily)

    def explain(self, ours: Cells, theirs: Cells, counted: Callable[[Sequence[Rule]], Cells]) -> set[Rule]:
        """Check that the rules lead from our numbers to those of ccusage. Print what each is worth. Return those that matter."""
        rules, matter = list(Rule), set()
        before = counted([])
        assert_same(ours, before)
        for number, rule in enumerate(rules, start=1):
            after = counted(rules[:number])
            if worth := _sums(_difference(before, after)):
                matter.add(rule)
                print(f"{rule.value[0]} {', '.join(f'{kind} {value:,.10g}' for kind, value in worth.items())}")
            before = after
        assert_same(theirs, before)
        return matter

    def _side_requests(self) -> Iterator[Request]:
        # They have no time of their own. Those of imported sessions count at the session's beginning.
        query = (
            "SELECT first_seen_ns, session_id, a.model, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,"
            " cache_write_1h_tokens, cost FROM auxiliary_usage a JOIN session USING (session_id) WHERE part = ''"
        )
        with closing(sqlite3.connect(self.home.store)) as connection:
            for at_ns, session_id, model, *tokens, short, long, cost in connection.execute(query):
                kinds = dict(zip(CLASSES, [*tokens, short + long], strict=True))
                yield Request(at_ns, session_id, label(model), kinds, (cost or 0) / DOLLAR)


def assert_same(found: Cells, expected: Cells) -> None:
    """Check that two tables have the same numbers, and name those that differ."""
    assert {key: value for key, value in _difference(found, expected).items() if abs(value) > EXACT} == {}


def _difference(found: Cells, expected: Cells) -> Cells:
    """Return the difference of each number of two tables."""
    return {key: expected.get(key, 0) - found.get(key, 0) for key in sorted(found.keys() | expected.keys())}


def _sums(difference: Cells) -> dict[str, float]:
    """Return how much each class of tokens, and the cost, changed in all rows together."""
    found: Counter[str] = Counter()
    for key, value in difference.items():
        found[key[-1]] += abs(value)  # type: ignore[assignment]  # dollars
    return {kind: value for kind, value in found.items() if value > EXACT}


def imported(folders: Sequence[Path], home: Home) -> Compared:
    """Import configuration folders into a new home."""
    named = [argument for folder in folders for argument in ("--config-dir", str(folder))]
    result = CliRunner().invoke(make_app(), ["import", *named], env={HOME_VARIABLE: str(home.root)})
    assert result.exit_code == 0, result.output
    return Compared(folders, home)


@pytest.fixture(scope="module", params=["recorded", "generated"])
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """All recorded sessions, or 200 generated ones in two configuration folders."""
    root = tmp_path_factory.mktemp(request.param)
    folders = [root / "one", root / "two"]
    if request.param == "generated":
        make(folders, count=200, turns=(1, 3, 8))
        return imported(folders, Home(root / "home"))
    for name in SCENARIOS:
        Scenario(name).write_transcripts(folders[0] / "projects")
    for path in folders[0].rglob("*.jsonl"):
        # The client writes compact JSON. ccusage reads no other.
        path.write_bytes(b"".join(compact(json.loads(line)) for line in path.read_bytes().splitlines() if line))
    return imported(folders[:1], Home(root / "home"))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", PERIODS)
def test_days_months_and_models_have_the_same_figures(compared: Compared, name: str, zone: str) -> None:
    explain_periods(compared, name, zone)


def explain_periods(compared: Compared, name: str, zone: str) -> set[Rule]:
    """Compare days or months by model. Return the rules that matter."""
    kind, theirs_name, form = PERIODS[name]
    ours = {
        (row[name], row["model"], kind): row.get(column, 0)
        for row in compared.ours("report", "all", "--by", f"{name},model", "--tz", zone)["rows"]
        for kind, column in {**{kind: f"{kind}_tokens" for kind in CLASSES}, "cost": "cost_usd"}.items()
    }
    theirs = _breakdown(ccusage.report(kind, compared.folders, zone)[kind], theirs_name)
    named = period(zone, form)

    def counted(rules: Sequence[Rule]) -> Cells:
        requests = compared.count(rules, is_daily=name == "day")
        return cells(requests, lambda request: (named(request), request.model))

    return compared.explain(without_zeros(ours), theirs, counted)


def _breakdown(rows: Sequence[dict[str, Any]], name: str) -> Cells:
    """Return the figures of ccusage by row and model. Two spellings of a model are one."""
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        for part in row["modelBreakdowns"]:
            for kind, key in {**CLASSES, "cost": "cost"}.items():
                found[row[name], label(part["modelName"]), kind] += part[key]
    return without_zeros(found)


def test_sessions_have_the_same_figures(compared: Compared) -> None:
    ours: dict[tuple[str, ...], float] = {}
    for session in compared.ours("sessions", "--top", "0")["sessions"]:
        for kind, key in {"in": "tokens_in", "out": "tokens_out", "cost": "cost"}.items():
            ours[session["session_id"], kind] = session[key] or 0
    theirs: Counter[tuple[str, ...]] = Counter()
    for session in ccusage.report("session", compared.folders)["sessions"]:
        for kind, key in CLASSES.items():
            theirs[session["sessionId"], IN_AND_OUT[kind]] += session[key]
        theirs[session["sessionId"], "cost"] = session["totalCost"]

    def counted(rules: Sequence[Rule]) -> Cells:
        # The list has no tokens of side requests, only their costs.
        requests = [
            replace(request, tokens={}) if request in compared.side_requests else request
            for request in compared.count(rules)
        ]
        return cells(requests, lambda request: (request.session,), IN_AND_OUT)

    compared.explain(without_zeros(ours), without_zeros(theirs), counted)


def test_blocks_have_the_same_figures(compared: Compared) -> None:
    begin = {"begin": "begin_ns", "end": "end_ns"}
    ours = {
        tuple(block[name] for name in begin.values()): block
        for block in compared.ours("limits", "--top", "1000")["blocks"]
    }
    theirs = {
        tuple(unix_nanoseconds(block[name]) for name in ("startTime", "endTime")): block
        for block in ccusage.report("blocks", compared.folders)["blocks"]
        if not block["isGap"]
    }
    assert ours.keys() == theirs.keys()
    blocks = sorted(ours)

    def row(request: Request) -> tuple[str, ...]:
        return next((str(begin),) for begin, end in blocks if begin <= request.at_ns <= end)

    def table(found: Any, requests: str, tokens: str, cost: str) -> Cells:
        names = {"requests": requests, "tokens": tokens, "cost": cost}
        return without_zeros(
            {(str(begin), kind): block[name] for (begin, _), block in found.items() for kind, name in names.items()}
        )

    def counted(rules: Sequence[Rule]) -> Cells:
        # Limits are about requests that transcripts show.
        requests = [request for request in compared.count(rules) if request not in compared.side_requests]
        found = cells(requests, row, dict.fromkeys(CLASSES, "tokens"))
        found.update({(*names, "requests"): number for names, number in Counter(map(row, requests)).items()})
        return found

    compared.explain(
        table(ours, "requests", "tokens", "cost_usd"), table(theirs, "entries", "totalTokens", "costUSD"), counted
    )


def test_answers_that_are_rare_are_explained_too(tmp_path: Path) -> None:
    """An answer that streams over midnight, one whose lines do not agree, and a prompt of more than 200,000 tokens."""

    def line(moment: str, answer: int, **tokens: int) -> bytes:
        message = {"id": f"msg_{answer}", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
        usage = {"input_tokens": 0, "output_tokens": 0, **tokens}
        session = {"sessionId": "rare", "cwd": "/home/dev/shop", "version": "2.1.330", "isSidechain": False}
        named = {"uuid": f"{answer}.{moment}", "requestId": f"req_{answer}", "timestamp": f"2026-10-{moment}Z"}
        return compact({"type": "assistant", **session, **named, "message": {**message, "usage": usage}})

    transcript = tmp_path / "one" / "projects" / "-home-dev-shop" / "rare.jsonl"
    transcript.parent.mkdir(parents=True)
    lines = (
        line("10T23:59:59.000", 1, output_tokens=1), line("11T00:00:01.000", 1, output_tokens=90),
        line("11T00:00:02.000", 2, input_tokens=70, output_tokens=5), line("11T00:00:03.000", 2, input_tokens=20, output_tokens=50),
        line("11T00:00:04.000", 3, input_tokens=10, cache_read_input_tokens=500_000),
    )  # fmt: skip
    transcript.write_bytes(b"".join(lines))
    compared = imported([tmp_path / "one"], Home(tmp_path / "home"))
    assert explain_periods(compared, "day", "UTC") == {Rule.ONE_LINE, Rule.LINE_TIME, Rule.OTHER_PRICE}
