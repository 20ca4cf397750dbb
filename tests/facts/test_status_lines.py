"""What the status line reports becomes facts and gauges. Late, duplicated and reordered inputs change nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.hook_payloads import PayloadError
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.status_input import EVENT, hand_on
from claude_hooks_otel.sources.status_readings import parse
from claude_hooks_otel.units import DAY, DOLLAR, HOUR, MINUTE, SECOND
from tests.support.places import ROOT
from tests.support.replay import Clock

NOW_NS = 1_795_826_240 * SECOND
INPUTS = [json.loads(line) for line in (ROOT / "tests/data/statusline.jsonl").read_text(encoding="utf-8").splitlines()]
RESETS = NOW_NS // SECOND + 3600
FOLDER = "/home/dev/.claude"
LABELS = {"agent": "backend", "project": "shop"}


def status(
    used: float, *, session: str = "s", resets: float = RESETS, folder: str = FOLDER, **more: Any
) -> dict[str, Any]:
    return {
        "session_id": session,
        "transcript_path": f"{folder}/projects/-shop/{session}.jsonl",
        "cwd": "/",
        "model": {"id": "claude-sonnet-4-5"},
        "cost": {"total_cost_usd": used / 100, "total_lines_added": 2, "total_lines_removed": 1},
        "context_window": {"used_percentage": 25, "context_window_size": 1_000_000},
        "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets}},
        **more,
    }


class Line:
    """A status line that hands its input on to a core."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(NOW_NS)
        self.core = assemble_core(Home(folder), Config(), self.clock)

    def run(self, given: dict[str, Any], at_ns: int = NOW_NS) -> None:
        environ = {"CLAUDE_AGENT_ID": "backend", "CLAUDE_AGENT_PROJECT": "shop"}
        hand_on(given, str(self.core.store.path.parent), environ, at_ns)
        self.core.intake.take_events()

    def session(self, session: str = "s", folder: str = FOLDER, **fields: Any) -> None:
        fact = model.Session(
            session_id=session, first_seen_ns=NOW_NS, last_seen_ns=NOW_NS, transcript_path=f"{folder}/projects/-shop/{session}.jsonl",
            **LABELS | fields,
        )  # fmt: skip
        with self.core.store.transaction():
            self.core.facts.upsert(fact)

    def gauges(self) -> dict[tuple[str, str], int]:
        return {
            (
                f"{point.metric.name} {dict(point.labels).get('window', '')}".strip(),
                dict(point.labels)["agent"],
            ): point.value
            for point in gauges(self.core.facts, self.clock.now_ns)
            if point.metric in (catalog.RATE_LIMIT_USED, catalog.RATE_LIMIT_RESET, catalog.CONTEXT_USAGE)
        }

    def everything(self) -> list[tuple[Any, ...]]:
        kinds = (model.StatusReading, model.LimitReading)
        return [kind.SHAPE.values(fact) for kind in kinds for fact in self.core.facts.select(kind)]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.core.store.close()


def test_an_input_becomes_a_reading_of_the_session_and_one_of_each_limit(line: Line) -> None:
    line.run(status(42.2))
    [reading] = line.core.facts.select(model.StatusReading)
    assert reading == model.StatusReading(
        session_id="s", at_ns=NOW_NS, model="claude-sonnet-4-5", context_basis_points=2500, context_size=1_000_000,
        cost=round(0.422 * DOLLAR), lines_added=2, lines_removed=1, **LABELS,
    )  # fmt: skip
    [limit] = line.core.facts.select(model.LimitReading)
    assert limit == model.LimitReading(
        config_folder=FOLDER, limit_window="five_hour", resets_ns=RESETS * SECOND, used_basis_points=4220, at_ns=NOW_NS, **LABELS,
    )  # fmt: skip


@pytest.mark.parametrize("given", INPUTS, ids=str)
def test_every_recorded_input_is_read(line: Line, given: dict[str, Any]) -> None:
    line.run(given)
    [reading] = line.core.facts.select(model.StatusReading)
    assert reading.cost == round(given["cost"]["total_cost_usd"] * DOLLAR)
    assert len(line.core.facts.select(model.LimitReading)) == len(given.get("rate_limits", {}))


def test_no_order_and_no_copy_changes_the_facts(tmp_path: Path) -> None:
    """Two sessions report, one window begins again, and a value comes back."""
    inputs = [
        (status(40), NOW_NS), (status(41, session="t"), NOW_NS + SECOND), (status(2, resets=RESETS + 18_000), NOW_NS + 2 * SECOND),
        (status(40, session="u"), NOW_NS + 3 * SECOND),
    ]  # fmt: skip
    payloads = [json.dumps({"at": at_ns, **given, "model": "m"}).encode() for given, at_ns in inputs]
    found = []
    for number, order in enumerate(itertools.permutations([*payloads, payloads[1]])):
        if number % 10:
            continue
        line = Line(tmp_path / str(number))
        for payload in order:
            Spool(line.core.spool.root).write(EVENT, LABELS, payload)
            line.core.intake.take_events()
        line.session()
        found.append((line.everything(), line.gauges()))
        line.core.store.close()
    assert all(each == found[0] for each in found)
    assert found[0][1]["claude.rate_limit.used five_hour", "backend"] == 4000


def test_gauges_have_the_newest_value_of_the_account_for_each_agent(line: Line) -> None:
    line.session("s")
    line.session("t", agent="frontend")
    line.session("x", folder="/home/other/.claude", agent="other")
    line.run(status(40, session="s"), NOW_NS)
    line.run(status(55.5, session="t"), NOW_NS + MINUTE)
    found = line.gauges()
    assert (
        found["claude.rate_limit.used five_hour", "backend"]
        == found["claude.rate_limit.used five_hour", "frontend"]
        == 5550
    )
    assert found["claude.rate_limit.reset.timestamp five_hour", "backend"] == RESETS * SECOND
    assert ("claude.rate_limit.used five_hour", "other") not in found


def test_a_limit_that_began_again_has_no_value(line: Line) -> None:
    line.session()
    line.run(status(40))
    line.clock.now_ns = RESETS * SECOND
    assert not [name for name, _ in line.gauges() if "rate_limit" in name]


def test_the_metrics_have_their_prometheus_names() -> None:
    assert catalog.RATE_LIMIT_USED.prometheus_name == "claude_rate_limit_used_percent"
    assert catalog.RATE_LIMIT_RESET.prometheus_name == "claude_rate_limit_reset_timestamp_seconds"


def test_the_size_of_the_context_window_is_the_one_that_the_client_has(line: Line) -> None:
    """By its name, the model has a window of 200,000 tokens."""
    line.session(context_tokens=100_000, model="claude-sonnet-4-5")
    assert line.gauges()["claude.context.usage", "backend"] == 50
    line.run(status(1))
    assert line.gauges()["claude.context.usage", "backend"] == 10


def test_a_session_without_a_transcript_has_the_context_usage_of_its_status_line(line: Line) -> None:
    line.session()
    assert ("claude.context.usage", "backend") not in line.gauges()
    line.run(status(1))
    assert line.gauges()["claude.context.usage", "backend"] == 25


def test_no_series_counts_a_status(line: Line) -> None:
    before = list(line.core.totals.points())
    line.run(status(40))
    assert list(line.core.totals.points()) == before


def test_readings_are_forgotten_with_their_time(line: Line) -> None:
    line.run(status(40))
    line.core.intake.forget(NOW_NS + HOUR)
    assert line.everything() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", {"total_cost_usd": "free"}), ("cost", 3), ("cost", {"total_cost_usd": -1}), ("context_window", {"used_percentage": 1e9}),
        ("rate_limits", {"five_hour": 3}), ("rate_limits", {"Ünknown": {"used_percentage": 1, "resets_at": 1}}), ("rate_limits", []),
        ("transcript_path", 3), ("model", {}),
    ],
)  # fmt: skip
def test_a_field_of_another_type_costs_only_itself(field: str, value: Any) -> None:
    given = {"at": NOW_NS, "session_id": "s", "cwd": "/x", field: value}
    reading = parse(json.dumps(given).encode())
    assert (reading.session_id, reading.cwd) == ("s", "/x")


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"{}", b'{"at": 1}', b'{"at": -1, "session_id": "s"}', b"[" * 5000, b'{"at": 1e400, "session_id": "s"}']
)  # fmt: skip
def test_a_file_that_is_no_status_is_set_aside_and_counted(line: Line, payload: bytes) -> None:
    with pytest.raises(PayloadError):
        parse(payload)
    line.core.spool.write(EVENT, {}, payload)
    line.core.intake.take_events()
    assert len(list(line.core.spool.broken.iterdir())) == 1
    dropped = {
        point.labels: point.value for point in line.core.totals.points() if point.metric is catalog.HOOK_EVENTS_DROPPED
    }
    assert dropped == {(("reason", "unreadable"),): 1}


def test_the_file_in_the_spool_is_an_envelope_with_the_headers_of_a_hook(tmp_path: Path) -> None:
    for part in ("tmp", "new"):
        (tmp_path / "spool" / part).mkdir(parents=True)
    environ = {"CLAUDE_AGENT_ID": "back\nevent=Stop", "CLAUDE_AGENT_TEAM": "core", "CLAUDE_PROJECT_DIR": "/shop"}
    assert hand_on(status(1), str(tmp_path), environ, NOW_NS)
    [entry] = Spool(tmp_path / "spool").take(5)
    assert isinstance(entry, Envelope)
    assert (entry.event, entry.headers) == (EVENT, {"agent": "back", "team": "core", "project_directory": "/shop"})
    assert entry.name.startswith(f"{EVENT}.s.")


def test_the_memory_of_old_sessions_is_deleted(tmp_path: Path) -> None:
    for part in ("tmp", "new"):
        (tmp_path / "spool" / part).mkdir(parents=True)
    hand_on(status(1, session="old"), str(tmp_path), {}, NOW_NS)
    memory = tmp_path / "statusline"
    written = (memory / "old").stat().st_mtime_ns
    hand_on(status(1, session="new"), str(tmp_path), {}, written + 8 * DAY)
    assert [path.name for path in memory.iterdir()] == ["new"]
    assert memory.stat().st_mode & 0o777 == 0o700
