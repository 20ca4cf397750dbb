"""Custom exporters are found by name or class and run independently. They get each measurement at least once under its key."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from claude_hooks_otel.daemon.assembly import assemble_daemon
from claude_hooks_otel.delivery import deliveries, worker
from claude_hooks_otel.diagnosis.status import read_status
from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord
from claude_hooks_otel.export.custom.json_lines import JsonLines
from claude_hooks_otel.export.custom.prometheus_page import PrometheusPage
from claude_hooks_otel.export.custom.registry import OptionRedactor, build
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.sdk import names
from claude_hooks_otel.sdk.monitor import AgentMonitor
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings

NOW = 1_780_000_000_123_456_000
HERE = __name__


class Kept(CustomExporter):
    """An exporter that keeps its measurements, and fails or blocks if a test asks for it."""

    made: dict[str, Kept] = {}  # noqa: RUF012 — the daemon makes the exporters, and tests find them here

    def __init__(self, name: str, failures: int = 0, gate: bool = False) -> None:
        self.made[name] = self
        self.measurements: list[MetricRecord] = []
        self.failures, self.calls = failures, 0
        self.arrived, self.gate = threading.Condition(), threading.Event()
        if not gate:
            self.gate.set()

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        with self.arrived:
            self.calls += 1
            self.arrived.notify_all()
        self.gate.wait(30)
        with self.arrived:
            self.measurements += batch
            self.arrived.notify_all()
        if self.calls <= self.failures:
            raise OSError("away, password=sesame-open")

    def wait_for(self, condition: Callable[[Kept], Any]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: condition(self), 20)


class World:
    """A daemon with custom exporters."""

    def __init__(self, home: Home, tables: dict[str, dict[str, Any]]) -> None:
        self.home = home
        self.daemon = assemble_daemon(home, Config(exporters=tables), OtelSettings.from_variables({}), lambda: NOW)
        self.store = self.daemon.core.store
        self.daemon.deliveries._sampled_at = 0.0  # the gauges were sampled, and are not sampled again

    def process(self) -> None:
        while self.daemon.core.intake.take_events():
            pass
        self.daemon.deliveries.work()

    def close(self) -> None:
        self.daemon.close()

    def state(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in read_status(self.home)["custom_exporters"]}


def table(name: str, **options: Any) -> dict[str, dict[str, Any]]:
    return {name: {"class": f"{HERE}:Kept", "name": name, **options}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(names, "_in_use", {})
    monkeypatch.setattr(worker, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(deliveries, "SAMPLE_EVERY", float("inf"))
    return Home(tmp_path / "home")


@pytest.fixture
def monitor(home: Home) -> AgentMonitor:
    return AgentMonitor("backend", "shop", home=home, now_ns=lambda: NOW - 5_000_000_000)


@pytest.fixture
def world(home: Home) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(tables: dict[str, dict[str, Any]]) -> World:
        made.append(World(home, tables))
        return made[-1]

    yield make
    for one in made:
        one.close()


def kept(name: str) -> Kept:
    return Kept.made[name]


def calls(measurements: Sequence[MetricRecord], name: str = "claude_x_total") -> list[float]:
    return [measurement.value for measurement in measurements if measurement.name == name]


def test_a_measurement_arrives_with_its_own_time_labels_kind_unit_and_key(
    world: Callable[..., World], monitor: AgentMonitor
) -> None:
    here = world(table("one"))
    monitor.gauge("queue", 2.5, {"tool": "bash"}, unit="job")
    here.process()
    kept("one").wait_for(lambda it: it.measurements)
    measurement = next(measurement for measurement in kept("one").measurements if measurement.name == "claude_queue")
    instance = here.store.meta("instance_id")
    assert (measurement.value, dict(measurement.labels)) == (
        2.5,
        {"agent": "backend", "project": "shop", "tool": "bash"},
    )
    assert (measurement.kind, measurement.unit, measurement.key) == ("gauge", "{job}", f"{instance}:000000000000001")
    assert measurement.timestamp.isoformat() == "2026-05-28T20:26:35.123456+00:00"


def test_a_failing_and_a_blocked_exporter_delay_no_other(world: Callable[..., World], monitor: AgentMonitor) -> None:
    here = world({**table("fails", failures=3), **table("stuck", gate=True), **table("fine")})
    for number in range(3):
        monitor.increment("x", number + 1)
        here.process()
        kept("fine").wait_for(lambda it, n=number: len(calls(it.measurements)) == n + 1)
    assert calls(kept("fine").measurements) == [1, 2, 3]
    assert calls(kept("stuck").measurements) == []
    kept("fails").wait_for(
        lambda it: it.calls > 3 and len({m.key for m in it.measurements if m.name == "claude_x_total"}) == 3
    )
    by_key = {
        measurement.key: measurement.value
        for measurement in kept("fails").measurements
        if measurement.name == "claude_x_total"
    }
    assert sorted(by_key.values()) == [1, 2, 3]  # a repeated measurement has the same key
    kept("stuck").gate.set()
    kept("stuck").wait_for(lambda it: calls(it.measurements) == [1, 2, 3])


def test_after_a_restart_only_measurements_that_were_not_accepted_come_again(
    world: Callable[..., World], home: Home, monitor: AgentMonitor
) -> None:
    first = World(home, table("again"))
    monitor.increment("x", 1)
    first.process()
    kept("again").wait_for(lambda it: calls(it.measurements) == [1])
    first.close()
    down = World(home, table("again", failures=10**6))
    monitor.increment("x", 2)
    down.process()
    kept("again").wait_for(lambda it: it.calls)
    down.close()
    world(table("again")).process()
    kept("again").wait_for(lambda it: calls(it.measurements) == [2])


def test_status_reports_errors_without_secrets(world: Callable[..., World], monitor: AgentMonitor) -> None:
    here = world({**table("fails", failures=10**6), "absent": {"class": "no.such:Thing", "token": "sesame-open"}})
    monitor.increment("x")
    here.process()
    kept("fails").wait_for(lambda it: it.calls >= 3)  # the store has the error before the second call
    state = here.state()
    assert state["fails"]["waiting"] == 2  # the measurement, and the count of its event
    assert "away" in state["fails"]["error"]
    assert "cannot be loaded" in state["absent"]["error"]
    assert "sesame" not in json.dumps(state)


def test_the_log_keeps_what_the_slowest_exporter_needs_up_to_a_limit_and_counts_losses(
    world: Callable[..., World], monitor: AgentMonitor
) -> None:
    here = world({**table("slow", gate=True), **table("quick")})
    for _ in range(6):
        monitor.increment("x")
    here.process()
    kept("quick").wait_for(lambda it: len(calls(it.measurements)) == 6)
    store, log = here.store, here.daemon.core.log
    rows = store.connection.execute("SELECT COUNT(*) FROM measurement_log").fetchone()[0]
    with store.transaction():
        log.trim()
    assert store.connection.execute("SELECT COUNT(*) FROM measurement_log").fetchone()[0] == rows
    with store.transaction():
        log.trim(most_rows=2)
    assert here.state()["slow"]["dropped"] == rows - 2
    kept("slow").gate.set()


def test_without_an_exporter_no_measurement_is_logged(world: Callable[..., World], monitor: AgentMonitor) -> None:
    here = world({})
    monitor.increment("x")
    here.process()
    assert here.store.connection.execute("SELECT COUNT(*) FROM measurement_log").fetchone() == (0,)


def test_gauges_are_sampled_at_intervals(world: Callable[..., World], home: Home) -> None:
    here = world(table("gauges"))
    here.daemon.deliveries._sampled_at = float("-inf")
    (home.spool / "new" / "waiting").touch()
    here.daemon.deliveries.work()
    kept("gauges").wait_for(lambda it: it.measurements)
    samples = [(m.name, m.value, m.kind) for m in kept("gauges").measurements]
    assert ("claude_hooks_spool_depth", 1, "gauge") in samples
    here.daemon.deliveries.work()
    (logged,) = here.store.connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'measurement_log'"
    ).fetchone()
    assert logged == len(samples)  # the second call comes too early for another sample


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("nonsense", {}, "no exporter of this name is installed .installed: json_lines, postgresql, prometheus"),
        ("x", {"class": "json"}, "module:Class"),
        ("x", {"class": "json:JSONDecoder"}, "derived from"),
        ("x", {"class": "no_such_module:X"}, "cannot be loaded"),
        ("json_lines", {}, "path"),
        ("json_lines", {"path": "x", "colour": "red"}, "colour"),
        ("json_lines", {"path": "x", "max_bytes": 0}, "positive"),
    ],
)
def test_an_error_in_the_configuration_says_what_is_expected(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(name, options)


@pytest.fixture
def foreign_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that claims names of exporters. Its module leaves a mark when it is imported."""
    (tmp_path / "site" / "foreign-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "foreign-1.0.dist-info" / "METADATA").write_text("Name: foreign\nVersion: 1.0\n")
    (tmp_path / "site" / "foreign-1.0.dist-info" / "entry_points.txt").write_text(
        "[claude_hooks_otel.exporters]\njson_lines = foreign_exporter:Taker\npostgresql = foreign_exporter:Taker\n"
        "leaving = foreign_exporter_that_leaves:Taker\ntaking = foreign_exporter:Taker\n"
    )
    (tmp_path / "site" / "foreign_exporter.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path / 'mark')!r}).touch()\n"
        "from claude_monitoring.exporters import CustomExporter\n"
        "class Taker(CustomExporter):\n"
        "    def __init__(self, **options): raise SystemExit(str(options))\n"
    )
    (tmp_path / "site" / "foreign_exporter_that_leaves.py").write_text("raise SystemExit('bye')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "mark"


def test_another_package_cannot_take_over_the_name_of_a_shipped_exporter(foreign_package: Path) -> None:
    assert isinstance(build("json_lines", {"path": "x"}), JsonLines)
    assert type(build("postgresql", {"conninfo": "password=sesame"})).__module__.startswith("claude_hooks_otel.")
    assert not foreign_package.exists()


def test_a_foreign_exporter_without_a_table_is_not_imported(
    foreign_package: Path, world: Callable[..., World], monitor: AgentMonitor
) -> None:
    here = world(table("one"))
    monitor.increment("x")
    here.process()
    assert not foreign_package.exists()


@pytest.mark.parametrize(("name", "says"), [("leaving", "SystemExit: bye"), ("taking", "Taker cannot be made")])
def test_a_foreign_exporter_that_exits_stops_neither_the_daemon_nor_another_exporter(
    foreign_package: Path, world: Callable[..., World], monitor: AgentMonitor, name: str, says: str
) -> None:
    here = world({name: {"token": "sesame-open"}, **table("one")})
    monitor.increment("x")
    here.process()
    kept("one").wait_for(lambda it: calls(it.measurements))
    assert says in here.state()[name]["error"]
    assert "sesame-open" not in here.state()[name]["error"]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exporter_that_raises_more_than_errors_is_tried_again(
    world: Callable[..., World], monitor: AgentMonitor, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    class Left(Kept):
        def export_batch(self, batch: Sequence[MetricRecord]) -> None:
            super().export_batch(batch)
            if self.calls == 1:
                raise raised("bye")

    monkeypatch.setattr(sys.modules[__name__], "Kept", Left)
    here = world(table("one"))
    monitor.increment("x")
    here.process()
    kept("one").wait_for(lambda it: len(calls(it.measurements)) == 2)


HOSTILE_TEXTS = (
    "x'); DROP TABLE measurement; --",
    'a"b',
    "line\nclaude_fake_total 99\n",
    'back\\slash"} 1',
    "NUL\0here",
    "half \ud83d pair",
    "\u202eright to left",
    "x" * 100_000,
    "$(reboot) `id` %s {} \t",
    "\\N",
    "\\.",
)


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_label_values_stay_values_on_the_prometheus_page(text: str) -> None:
    """Labels are normalized before they get here. The page does not rely on it."""
    page = PrometheusPage(port=0)
    labels = (("agent", text), ("project", "shop"))
    page.attach(lambda: [SeriesPoint(catalog.COMMITS, labels, NOW, 3)])
    page.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    finally:
        page.shutdown()
    found = [sample for family in families for sample in family.samples if not sample.name.endswith("_created")]
    assert [(sample.name, sample.value, sample.labels.keys()) for sample in found] == [
        ("claude_commits_total", 3, {"agent", "project"})
    ]
    assert found[0].labels["agent"] == text.encode("utf-8", "replace").decode()


def test_secrets_are_masked_in_every_option() -> None:
    hide = OptionRedactor(
        {"api_token": "abcdef", "conninfo": "host=h password='p w d!'", "uri": "postgresql://me:secret1@h/db"}
    )
    text = hide("abcdef password=zzzz p w d! secret1 postgresql://you:other@h/db host=h")
    assert not any(secret in text for secret in ("abcdef", "zzzz", "p w d!", "secret1", "other"))
    assert "host=h" in text


# -- shipped exporters --------------------------------------------------------------------------------------------------------


def test_the_prometheus_page_shows_the_current_series(world: Callable[..., World], monitor: AgentMonitor) -> None:
    here = world({"prometheus": {"port": 0}})
    page = here.daemon.deliveries._measurements[0]._exporter
    assert isinstance(page, PrometheusPage)
    monitor.increment("x", 2.5, {"tool": "bash"})
    monitor.increment("x", 1)
    monitor.gauge("queue", 7)
    monitor.histogram("task_duration_seconds", 3600)
    here.process()
    while not page._server:
        threading.Event().wait(0.01)
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/metrics") as answer:
        text = answer.read().decode()
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    own = {("agent", "backend"), ("project", "shop")}
    assert samples["claude_x_total", frozenset({*own, ("tool", "bash")})] == 2.5
    assert samples["claude_x_total", frozenset({*own, ("tool", "")})] == 1
    assert samples["claude_queue", frozenset(own)] == 7
    task = {*own, ("task_type", "task")}
    assert samples["claude_task_duration_seconds_sum", frozenset(task)] == 3600
    assert samples["claude_task_duration_seconds_bucket", frozenset({*task, ("le", "1800.0")})] == 0
    assert samples["claude_task_duration_seconds_bucket", frozenset({*task, ("le", "3600.0")})] == 1
    assert samples["claude_task_duration_seconds_bucket", frozenset({*task, ("le", "+Inf")})] == 1
    assert page._server.server_address[0] == "127.0.0.1"


def line(number: int) -> MetricRecord:
    from datetime import UTC, datetime

    return MetricRecord(
        "claude_x_total", number, datetime(2026, 1, 1, tzinfo=UTC), {"agent": "ä"}, "counter", "{x}", f"s:{number}"
    )


def test_json_lines_are_appended_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "metrics.jsonl"
    exporter = JsonLines(str(path), max_bytes=400, keep=2)
    for number in range(10):
        exporter.export_batch([line(number)])
    files = [path.with_name("metrics.jsonl.2"), path.with_name("metrics.jsonl.1"), path]
    found = [json.loads(text) for file in files for text in file.read_text(encoding="utf-8").splitlines()]
    assert [entry["value"] for entry in found] == [4, 5, 6, 7, 8, 9]
    assert found[-1] == {
        "key": "s:9", "name": "claude_x_total", "value": 9, "timestamp": "2026-01-01T00:00:00+00:00", "labels": {"agent": "ä"},
        "kind": "counter", "unit": "{x}",
    }  # fmt: skip
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "metrics.jsonl",
        "metrics.jsonl.1",
        "metrics.jsonl.2",
    ]


def test_after_an_incomplete_line_the_next_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"key": "s:')
    JsonLines(str(path)).export_batch([line(1)])
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1])["value"] == 1
