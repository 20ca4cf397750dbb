"""Imported history reaches custom exporters once, with its own time, also if a process is killed or an import follows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.daemon.history import HistoryImport, find_transcripts
from claude_hooks_otel.delivery.history import send_history
from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord
from claude_hooks_otel.export.custom.json_lines import JsonLines
from claude_hooks_otel.export.custom.postgresql import PostgreSQL
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.aggregates import BUCKET, LIVE
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.units import SECOND
from tests.support.corpus import Scenario
from tests.support.places import ROOT

LATER = 1_900_000_000 * SECOND
# (Prometheus name, begin of the half hour, labels) → (sum in stored units, number of measurements).
Sums = dict[tuple[str, datetime, frozenset[tuple[str, str]]], tuple[int, int]]


class Kept(CustomExporter):
    """Keeps what it accepts, and fails at one batch.

    Args:
        fails_at: the number of the batch at which it fails.
        accepts: whether it has kept that batch nevertheless, as if its answer was lost.
    """

    def __init__(self, fails_at: int | None = None, *, accepts: bool = False) -> None:
        self.batches: list[list[MetricRecord]] = []
        self.fails_at, self.accepts, self._calls = fails_at, accepts, 0

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        self._calls += 1
        fails = self._calls == self.fails_at
        if not fails or self.accepts:
            self.batches.append(list(batch))
        if fails:
            raise ConnectionError("the answer is lost")

    @property
    def records(self) -> list[MetricRecord]:
        return [record for batch in self.batches for record in batch]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home, tmp_path: Path) -> Iterator[Store]:
    """The store of a home into which sessions were imported."""
    import_into(home, tmp_path / "claude", "subagents", "tasks")
    with closing(open_store(home.store, lambda: LATER)) as opened:
        yield opened


def import_into(home: Home, folder: Path, *names: str) -> None:
    for name in names:
        Scenario(name).write_transcripts(folder / "projects")
    reader = HistoryImport(home, Config(), lambda: LATER)
    for _ in reader.read(find_transcripts([folder])):
        pass
    reader.pair()
    reader.close()


def send(store: Store, exporter: CustomExporter, size: int = 15, **options: bool) -> int:
    return sum(send_history(store.connection, "kept", exporter, size=size, **options))


def stored(store: Store) -> Sums:
    """Return what imports have counted."""
    found: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0])
    rows = store.connection.execute(f"SELECT metric, bucket, labels, value, count FROM aggregate WHERE part > {LIVE}")
    for name, bucket, labels, value, count in rows:
        metric = CATALOG[name]
        if metric.common:
            at = datetime.fromtimestamp(bucket * BUCKET // SECOND, UTC)
            both = found[metric.prometheus_name, at, frozenset(map(tuple, json.loads(labels)))]
            both[0] += value
            both[1] += count if metric.kind is Kind.HISTOGRAM else 0
    return {key: (value, count) for key, (value, count) in found.items()}


SCALES = {metric.prometheus_name: metric.scale for metric in CATALOG.values()}


def sums(records: Sequence[MetricRecord]) -> Sums:
    """Return the sums of measurements. A key that is there twice is an error."""
    assert [key for key, number in Counter(record.key for record in records).items() if number > 1] == []
    found: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        both = found[record.name, record.timestamp, frozenset(record.labels.items())]
        both[0] += round(record.value * SCALES[record.name])
        both[1] += record.kind == "histogram"
    return {key: (value, count) for key, (value, count) in found.items()}


def is_same(found: Sums, expected: Sums) -> bool:
    """Return whether both are equal. An exported float has 15 digits, so large sums in stored units may differ in the last ones."""
    return found.keys() == expected.keys() and all(
        found[key][1] == count and abs(found[key][0] - value) <= 1 + value * 1e-12
        for key, (value, count) in expected.items()
    )


def test_history_is_sent_once_with_its_own_time(store: Store) -> None:
    exporter = Kept()
    sent = send(store, exporter)
    assert sent == len(exporter.records) > 50
    assert len(exporter.batches) > 3
    assert is_same(sums(exporter.records), stored(store))
    assert {record.timestamp.year for record in exporter.records} <= {2025, 2026}
    assert send(store, exporter) == 0


def test_each_observation_of_a_histogram_is_a_measurement_in_its_bucket(store: Store) -> None:
    exporter = Kept()
    send(store, exporter)
    rows = store.connection.execute(f"SELECT metric, step, SUM(count) FROM aggregate WHERE part > {LIVE} GROUP BY 1, 2")
    steps = {(name, step): count for name, step, count in rows if CATALOG[name].kind is Kind.HISTOGRAM}
    found: Counter[tuple[str, int]] = Counter()
    named = {metric.prometheus_name: metric for metric in CATALOG.values()}
    for record in exporter.records:
        if record.kind == "histogram":
            metric = named[record.name]
            found[metric.name, sum(bound < record.value for bound in metric.buckets)] += 1
    assert found == steps


@pytest.mark.parametrize("accepts", [True, False])
def test_a_delivery_that_fails_anywhere_goes_on_there(store: Store, *, accepts: bool) -> None:
    whole = Kept()
    send(store, whole)
    for fails_at in range(1, len(whole.batches) + 1):
        name = f"failing at {fails_at}"
        exporter = Kept(fails_at, accepts=accepts)
        with pytest.raises(ConnectionError):
            list(send_history(store.connection, name, exporter, size=15))
        list(send_history(store.connection, name, exporter, size=15))
        by_key = {record.key: record for record in exporter.records}
        assert len(exporter.records) - len(by_key) == (len(exporter.batches[fails_at - 1]) if accepts else 0)
        assert is_same(sums(list(by_key.values())), stored(store))


def test_an_import_after_a_delivery_adds_only_what_is_new(store: Store, home: Home, tmp_path: Path) -> None:
    exporter = Kept()
    send(store, exporter)
    import_into(home, tmp_path / "claude")  # again: nothing is new
    assert send(store, exporter) == 0
    import_into(home, tmp_path / "claude", "lines", "killed")
    assert send(store, exporter) > 0
    assert is_same(sums(exporter.records), stored(store))


def test_a_session_that_grows_during_a_delivery_is_sent_completely(home: Home, tmp_path: Path) -> None:
    """What is imported into a half hour that was sent comes as a further measurement."""
    folder = tmp_path / "claude"
    Scenario("tasks").write_transcripts(folder / "projects")
    whole = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    for path, content in whole.items():
        lines = content.splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) // 2]))
    import_into(home, folder)
    exporter = Kept()
    with closing(open_store(home.store, lambda: LATER)) as store:
        delivery = send_history(store.connection, "kept", exporter, size=3)
        next(delivery)
        for path, content in whole.items():
            path.write_bytes(content)
        import_into(home, folder)
        list(delivery)
        send(store, exporter)
        assert is_same(sums(exporter.records), stored(store))


def test_everything_is_sent_again_under_the_same_keys(store: Store) -> None:
    first, second = Kept(), Kept()
    send(store, first)
    assert send(store, second, again=True) == len(first.records)
    assert second.records == first.records


def test_each_exporter_gets_everything(store: Store) -> None:
    first, second = Kept(), Kept()
    list(send_history(store.connection, "first", first))
    list(send_history(store.connection, "second", second))
    assert first.records == second.records


def test_counts_of_the_daemon_are_not_history(store: Store, home: Home) -> None:
    store.connection.execute(f"UPDATE aggregate SET part = {LIVE}")
    assert send(store, Kept()) == 0


# -- real receivers, and a real kill -------------------------------------------------------------------------------------------

# Sends to an exporter of the arguments in small batches, and kills itself when it has accepted one of them, before its cursor moves.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.delivery.history import send_history
from claude_hooks_otel.export.custom.registry import build

path, name, options, last = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
exporter = build(name, options)
accept, calls = exporter.export_batch, 0

def export_batch(batch):
    global calls
    accept(batch)
    calls += 1
    if calls == last:
        os.kill(os.getpid(), signal.SIGKILL)

exporter.export_batch = export_batch
exporter.start()
store = open_store(Path(path), lambda: 0)
for _ in send_history(store.connection, name, exporter, size=10):
    pass
exporter.shutdown()
store.close()
"""


def send_until_killed(home: Home, name: str, options: dict[str, Any], last: int) -> int:
    arguments = [sys.executable, "-c", KILLED, str(home.store), name, json.dumps(options), str(last)]
    return subprocess.run(arguments, check=False, cwd=ROOT, env={"PATH": os.environ["PATH"]}).returncode


def kill_again_and_again(home: Home, name: str, options: dict[str, Any]) -> None:
    """Send everything with processes that are killed after one, two and three batches."""
    codes = [send_until_killed(home, name, options, last) for last in (1, 2, 3)]
    assert codes == [-signal.SIGKILL] * 3
    assert send_until_killed(home, name, options, 0) == 0


def in_postgresql(conninfo: str) -> list[MetricRecord]:
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT name, value, at, labels, kind, unit, key FROM claude_metrics.measurement")
        return [MetricRecord(*row[:2], row[2].astimezone(UTC), *row[3:]) for row in rows]


def in_json_lines(path: Path) -> list[MetricRecord]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [MetricRecord(**{**row, "timestamp": datetime.fromisoformat(row["timestamp"])}) for row in rows]


def test_postgresql_has_each_row_once_after_kills(store: Store, home: Home, tmp_path: Path, database: str) -> None:
    kill_again_and_again(home, "postgresql", {"conninfo": database})
    assert is_same(sums(in_postgresql(database)), stored(store))
    import_into(home, tmp_path / "claude", "lines")
    with closing(open_store(home.store, lambda: LATER)):
        exporter = PostgreSQL(database)
        exporter.start()
        assert list(send_history(store.connection, "postgresql", exporter)) != []
        assert sum(send_history(store.connection, "postgresql", exporter, again=True)) > 0
        exporter.shutdown()
    assert is_same(sums(in_postgresql(database)), stored(store))


def test_the_views_of_postgresql_show_the_days_of_history(store: Store, database: str) -> None:
    exporter = PostgreSQL(database)
    exporter.start()
    send(store, exporter)
    exporter.shutdown()
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT day, sum(dollars) FROM claude_metrics.cost_per_agent_and_day GROUP BY 1")
        found = {day.astimezone(UTC).date(): dollars for day, dollars in rows}
    expected: Counter[Any] = Counter()
    for (name, at, _), (value, _) in stored(store).items():
        if name == "claude_api_cost_usd_total":
            expected[at.date()] += value
    assert found == pytest.approx({day: value / SCALES["claude_api_cost_usd_total"] for day, value in expected.items()})


def test_json_lines_have_each_measurement_once_after_kills(store: Store, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    kill_again_and_again(home, "json_lines", {"path": str(path)})
    assert is_same(sums(in_json_lines(path)), stored(store))


def test_a_batch_that_was_written_in_part_is_completed(store: Store, tmp_path: Path) -> None:
    kept, path = Kept(), tmp_path / "lines.jsonl"
    send(store, kept)
    first = kept.batches[0]
    JsonLines(str(path)).export_batch(first)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # a process was killed while it wrote
    JsonLines(str(path)).export_batch(first)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(first) + 1  # half a line stays by itself
    whole = [line for line in lines if line.endswith("}") and line.startswith("{")]
    keys = [json.loads(line)["key"] for line in whole if line.count('"key"') == 1 and _is_json(line)]
    assert sorted(keys) == sorted(record.key for record in first)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_a_daemon_and_a_command_write_to_one_file(store: Store, tmp_path: Path) -> None:
    """Both rotate it, and no line is lost or torn."""
    path = tmp_path / "lines.jsonl"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    script = (
        "import sys; from datetime import UTC, datetime;"
        "from claude_hooks_otel.export.custom.json_lines import JsonLines;"
        "from claude_hooks_otel.export.custom.base import MetricRecord;"
        "exporter = JsonLines(sys.argv[1], max_bytes=2000, keep=1000);"
        "at = datetime(2026, 1, 1, tzinfo=UTC);"
        "[exporter.export_batch([MetricRecord('x', 1, at, key=f'{sys.argv[2]}:{n}:{k}') for k in range(5)]) for n in range(60)]"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path), name], cwd=ROOT, env={"PATH": os.environ["PATH"]})
        for name in ("daemon", "command")
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    found = [record for file in tmp_path.glob("lines.jsonl*") for record in in_json_lines(file)]
    assert sorted(record.key for record in found) == sorted(
        f"{name}:{n}:{k}" for name in ("daemon", "command") for n in range(60) for k in range(5)
    )
    assert {record.timestamp for record in found} == {at}
