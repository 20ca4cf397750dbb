"""Records of the SDK reach an OTLP receiver and a real PostgreSQL through the spool and a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import tomli_w

from claude_hooks_otel.cli.status import read_status
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import ROOT
from tests.support.postgresql_server import missing, server
from tests.support.real_daemon import Installation, wait_until

IDENTITY = {"agent": "backend", "project": "book-cataloger"}

# The snippets of the SDK's specification. Only the bodies of the functions are made up.
SNIPPETS = """
from claude_monitoring import AgentMonitor, track_task, track_performance, track_quality

def implement_rate_limiting():
    return "done"

monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
with monitor.track_task("Add API rate limiting", complexity=5):
    result = implement_rate_limiting()
monitor.record_metric("api_calls", 1)
monitor.record_metric("api_calls", 1, labels={"agent": "backend", "project": "book-cataloger", "sprint": "6B"})
monitor.record_metric("tokens_used", 45230)
monitor.record_cost(0.87)
monitor.increment("features_completed"); monitor.gauge("context_usage_percent", 45.3); monitor.histogram("task_duration_seconds", 3600)
with monitor.span("api_integration"):
    with monitor.span("fetch_data"): ...
try:
    try: raise LookupError("secret content")
    except Exception as e: monitor.record_error(e); raise
except LookupError: pass

@track_task(monitor=monitor, task_type="feature", complexity=5)
def add_api_feature(): ...
add_api_feature()
@track_performance(monitor=monitor)
def process_items(items): return items[:3]
process_items([1, 2, 3, 4])
@track_quality(monitor=monitor, test_coverage_required=0.90, report=REPORT)
def implement_with_tests(): ...
implement_with_tests()
"""

WITH_LEVEL = """
from claude_monitoring import AgentMonitor
AgentMonitor(agent_id="Backend", project_name="book-cataloger", agent_level=2, sprint="6B", export_to_grafana=True).record_metric("api_calls", 1)
AgentMonitor(agent_id="backend", project_name="book-cataloger", export_to_grafana=False).record_metric("api_calls", 1)
"""

# The totals of the snippets: Prometheus name and labels besides the identity → value. OBSERVATIONS has the counts of histograms.
EXPECTED = {
    ("claude_tasks_created_total", "task_type=task"): 1,
    ("claude_tasks_created_total", "task_type=feature"): 1,
    ("claude_tasks_completed_total", "task_type=task"): 1,
    ("claude_tasks_completed_total", "task_type=feature"): 1,
    ("claude_story_points_delivered_total", ""): 10,
    ("claude_features_delivered_total", ""): 2,
    ("claude_api_calls_total", ""): 1,
    ("claude_api_calls_total", "sprint=6b"): 1,
    ("claude_tokens_used_total", ""): 45230,
    ("claude_api_cost_usd_total", "agent_type=sdk,model=unknown"): 0.87,
    ("claude_errors_total", "error=lookuperror"): 1,
    ("claude_operation_items_in_total", "operation=process_items"): 4,
    ("claude_operation_items_out_total", "operation=process_items"): 3,
    ("claude_quality_checks_total", "outcome=passed"): 1,
    ("claude_context_usage_percent", ""): 45.3,
    ("claude_operation_efficiency", "operation=process_items"): 0.75,
    ("claude_test_coverage_percent", ""): 93.5,
}
OBSERVATIONS = {
    ("claude_task_duration_seconds", "task_type=task"): 2,
    ("claude_task_duration_seconds", "task_type=feature"): 1,
    ("claude_span_duration_seconds", "outcome=success,span=api_integration"): 1,
    ("claude_span_duration_seconds", "outcome=success,span=fetch_data"): 1,
    ("claude_operation_duration_seconds", "operation=process_items,outcome=success"): 1,
}

Install = Callable[..., Installation]


@pytest.fixture
def install(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Install]:
    made: list[Installation] = []

    def make(exporters: dict[str, object] | None = None) -> Installation:
        installation = Installation(
            tmp_path,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "PYTHONPATH": str(ROOT),
            },
        )
        if exporters:
            installation.home.config.write_text(tomli_w.dumps({"exporters": exporters}))
        made.append(installation)
        return installation

    yield make
    for installation in made:
        installation.close()


def run(installation: Installation, program: str, **popen: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(installation.home.root)},
        capture_output=True,
        text=True,
        check=False,
        **popen,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done


def received(receiver: OtlpReceiver) -> dict[tuple[str, str], object]:
    """Return Prometheus name and labels besides the identity → the newest value, which is (count, sum) for a histogram."""
    from claude_hooks_otel.metrics.declared import metric_of

    kinds = {"sum": "counter"}
    found = {}
    for point in receiver.metrics:
        if not point.attributes.keys() >= IDENTITY.keys():
            continue
        metric = metric_of(point.name, kinds.get(point.kind, point.kind), point.unit)
        rest = {key: value for key, value in point.attributes.items() if key not in IDENTITY}
        found[metric.prometheus_name, ",".join(f"{key}={value}" for key, value in sorted(rest.items()))] = point.value
    return found


def stored(database: str) -> dict[tuple[str, str], list[float]]:
    """Return the same names and labels → every value in PostgreSQL, in order."""
    found: dict[tuple[str, str], list[float]] = {}
    with psycopg.connect(database) as connection:
        for name, labels, value in connection.execute(
            "SELECT name, labels, value FROM claude_metrics.measurement WHERE labels ? 'agent' ORDER BY at, key"
        ):
            rest = ",".join(f"{key}={text}" for key, text in sorted(labels.items()) if key not in IDENTITY)
            found.setdefault((name, rest), []).append(value)
    return found


def table_exists(database: str) -> bool:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT to_regclass('claude_metrics.measurement')").fetchone() != (None,)


def test_the_records_of_every_snippet_reach_otlp_and_postgresql(
    install: Install, otlp_receiver: OtlpReceiver, database: str, tmp_path: Path
) -> None:
    installation = install({"postgresql": {"conninfo": database}})
    report = tmp_path / "coverage.json"
    report.write_text('{"totals": {"percent_covered": 93.5}}')
    installation.start()
    wait_until(lambda: table_exists(database))  # measurements are kept once a daemon has an exporter
    run(installation, f"REPORT = {str(report)!r}\n{SNIPPETS}")
    wait_until(lambda: EXPECTED.items() <= received(otlp_receiver).items())
    at_otlp = received(otlp_receiver)
    assert {key: at_otlp[key] for key in EXPECTED} == EXPECTED
    assert {key: at_otlp[key][0] for key in OBSERVATIONS} == OBSERVATIONS
    gauges = {name for name, _ in EXPECTED if name.endswith(("percent", "efficiency"))}
    wait_until(lambda: read_status(installation.home)["custom_exporters"][0]["waiting"] == 0)
    in_database = stored(database)
    for (name, labels), value in EXPECTED.items():
        values = in_database[name, labels]
        assert (values[-1] if name in gauges else sum(values)) == value, name
    assert {key: len(in_database[key]) for key in OBSERVATIONS} == OBSERVATIONS
    durations = in_database["claude_task_duration_seconds", "task_type=task"]
    assert 3600 in durations
    assert at_otlp["claude_task_duration_seconds", "task_type=task"][1] == pytest.approx(sum(durations))
    assert "secret content" not in b"".join(otlp_receiver.raw_bodies).decode(errors="replace")


def test_level_and_sprint_arrive_and_a_monitor_without_export_records_nothing(
    install: Install, otlp_receiver: OtlpReceiver
) -> None:
    installation = install()
    run(installation, WITH_LEVEL)
    installation.start()
    expected = {("claude_agent_declared_level", "sprint=6b"): 2, ("claude_api_calls_total", "sprint=6b"): 1}
    wait_until(lambda: expected.items() <= received(otlp_receiver).items())
    assert ("claude_api_calls_total", "") not in received(otlp_receiver)


def test_every_call_before_a_sigkill_is_recorded(install: Install, otlp_receiver: OtlpReceiver) -> None:
    installation = install()
    done = run(
        installation,
        """
        import os, signal
        from claude_monitoring import AgentMonitor
        monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
        for _ in range(237):
            monitor.increment("api_calls")
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert done.returncode == -signal.SIGKILL
    installation.start()
    wait_until(lambda: received(otlp_receiver).get(("claude_api_calls_total", "")) == 237)
    installation.kill()
    installation.start()
    run(
        installation,
        "from claude_monitoring import AgentMonitor as A; A('backend', 'book-cataloger').increment('api_calls')",
    )
    wait_until(lambda: received(otlp_receiver).get(("claude_api_calls_total", "")) == 238)


def test_calls_of_threads_and_forks_count_once(install: Install, otlp_receiver: OtlpReceiver) -> None:
    installation = install()
    run(
        installation,
        """
        import os, threading
        from claude_monitoring import AgentMonitor
        monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
        def work():
            for _ in range(25):
                monitor.increment("api_calls")
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            children.append(child)
        work()
        for child in children: os.waitpid(child, 0)
        """,
    )
    installation.start()
    wait_until(lambda: received(otlp_receiver).get(("claude_api_calls_total", "")) == (8 + 4 + 1) * 25)


def test_after_a_kill_of_the_daemon_a_custom_exporter_continues_at_its_cursor(
    install: Install, otlp_receiver: OtlpReceiver, database: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own_exporter.py").write_text(
        textwrap.dedent(
            """
            import psycopg
            from claude_monitoring.exporters import CustomExporter

            class PostgreSQLExporter(CustomExporter):
                def __init__(self, conninfo):
                    self.db = psycopg.connect(conninfo, autocommit=True)

                def export_metric(self, metric):
                    self.db.execute("INSERT INTO metrics VALUES (%s, %s, %s)", (metric.name, metric.value, metric.timestamp))
            """
        )
    )
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE metrics (name text, value double precision, at timestamptz)")
    installation = install(
        {
            "mine": {"class": "own_exporter:PostgreSQLExporter", "conninfo": database},
            "json_lines": {"path": str(tmp_path / "lines.jsonl")},
            "broken": {"class": "failing_exporter:Failing"},
        }
    )
    (tmp_path / "mine" / "failing_exporter.py").write_text(
        "from claude_monitoring.exporters import CustomExporter\n"
        "class Failing(CustomExporter):\n"
        "    def export_batch(self, batch): raise OSError('never')\n"
    )
    installation.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path / "mine")])
    installation.start()
    wait_until((tmp_path / "lines.jsonl").exists)
    one = "from claude_monitoring import AgentMonitor as A; A('backend', 'shop').record_metric('api_calls', {})"
    run(installation, one.format(2.5))

    def accepted_everything(name: str) -> bool:
        states = {state["name"]: state for state in read_status(installation.home)["custom_exporters"]}
        return states[name]["waiting"] == 0

    def values() -> list[float]:
        with psycopg.connect(database) as connection:
            found = connection.execute("SELECT value FROM metrics WHERE name = 'claude_api_calls_total' ORDER BY at")
            return [value for (value,) in found]

    wait_until(lambda: values() == [2.5])
    # Before that, measurements may come again, because delivery is at least once.
    wait_until(lambda: accepted_everything("mine") and accepted_everything("json_lines"))
    installation.kill()
    run(installation, one.format(4))
    installation.start()
    wait_until(lambda: values() == [2.5, 4])
    wait_until(lambda: (tmp_path / "lines.jsonl").read_text().count('"claude_api_calls_total"') == 2)


@pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")
def test_after_an_outage_postgresql_has_every_row_once(install: Install, tmp_path: Path) -> None:
    with server() as own:
        installation = install({"postgresql": {"conninfo": own.conninfo}})
        installation.start()
        wait_until(lambda: table_exists(own.conninfo))
        count = "from claude_monitoring import AgentMonitor as A; m = A('backend', 'book-cataloger'); [m.increment('api_calls', n) for n in range({}, {})]"

        def values() -> list[float]:
            return stored(own.conninfo).get(("claude_api_calls_total", ""), [])

        run(installation, count.format(1, 51))
        wait_until(lambda: len(values()) == 50)
        own.stop()
        run(installation, count.format(51, 101))
        wait_until(lambda: installation.waiting() == 0)
        installation.kill()  # the next daemon continues at the cursor
        installation.start()
        run(installation, count.format(101, 151))
        wait_until(lambda: custom_error(installation))
        own.start()
        wait_until(lambda: len(values()) >= 150)
        assert sorted(values()) == list(range(1, 151))


def custom_error(installation: Installation) -> str | None:
    return read_status(installation.home)["custom_exporters"][0]["error"]
