"""The SDK inside a program: what it records, what it refuses, and what it does not change."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import importlib
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import claude_monitoring
from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import from_programs, model
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sdk import names, spool_recorder
from claude_hooks_otel.series import program_gauges
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import spool_budget
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.spool_budget import Budget, take_dropped
from claude_monitoring import (
    AgentMonitor,
    MisuseError,
    QualityError,
    QualityWarning,
    track_performance,
    track_quality,
    track_task,
)
from tests.support import hostile_files as files

NOW = 1_780_000_000_000_000_000


@pytest.fixture(autouse=True)
def fresh_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_in_use", {})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def monitor(home: Home) -> AgentMonitor:
    return AgentMonitor(agent_id="backend", project_name="shop", now_ns=lambda: NOW)


def totals_of(home: Home) -> dict[tuple[str, str], float]:
    """Take in the whole spool, and return Prometheus name and labels besides the identity → total, count or gauge."""
    core = assemble_core(home, Config(), lambda: NOW)
    try:
        while core.intake.take_events():
            pass
        points = [*core.totals.points(), *program_gauges.program_gauges(core.facts.connection)]
    finally:
        core.store.close()
    return {
        (
            point.metric.prometheus_name,
            ",".join(f"{key}={value}" for key, value in point.labels if key not in ("agent", "project")),
        ): point.count or point.value / point.metric.scale
        for point in points
    }


def recorded(home: Home) -> list[tuple[Envelope, dict]]:
    return [(entry, json.loads(entry.payload)) for entry in Spool(home.spool).take(1000) if isinstance(entry, Envelope)]


def test_the_package_exports_these_names_and_no_others() -> None:
    assert sorted(claude_monitoring.__all__) == [
        "AgentMonitor", "MisuseError", "QualityError", "QualityWarning", "track_performance", "track_quality", "track_task",
    ]  # fmt: skip
    assert importlib.import_module("claude_monitoring.exporters").__all__ == ["CustomExporter", "MetricRecord"]
    assert (Path(claude_monitoring.__file__).parent / "py.typed").exists()


def test_importing_the_sdk_and_recording_imports_nothing_slow(home: Home) -> None:
    program = (
        "import sys; from claude_monitoring import AgentMonitor; import claude_monitoring.exporters\n"
        "AgentMonitor('backend', 'shop').record_metric('api_calls')\n"
        "print([m for m in ('opentelemetry', 'pydantic', 'sqlite3', 'asyncio', 'logging', 'typer', 'psycopg') if m in sys.modules])"
    )
    environ = {"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert len(recorded(home)) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.record_metric("api calls", 1), "not a metric name"),
        (lambda m: m.record_metric("9lives", 1), "not a metric name"),
        (lambda m: m.record_metric("", 1), "not a metric name"),
        (lambda m: m.record_metric(None, 1), "not a metric name"),
        (lambda m: m.record_metric("x" * 101, 1), "at most 100"),
        (lambda m: m.record_metric("hooks_events", 1), "product's own"),
        (lambda m: m.record_metric("api_calls", float("nan")), "finite"),
        (lambda m: m.record_metric("api_calls", float("inf")), "finite"),
        (lambda m: m.record_metric("api_calls", "1"), "a number is expected, not str"),
        (lambda m: m.record_metric("api_calls", True), "not bool"),
        (lambda m: m.increment("api_calls", -1), "only grows"),
        (lambda m: m.record_cost(-0.5), "only grows"),
        (lambda m: m.histogram("latency", -0.1), "only grows"),
        (lambda m: m.increment("features_completed", 0.5), "whole"),
        (lambda m: m.gauge("x", 1e13), "up to"),
        (lambda m: m.gauge("tokens_input", 1), "is a counter"),
        (lambda m: m.increment("context_usage_percent"), "is a gauge"),
        (lambda m: m.record_metric("x", 1, labels={"customer": "a"}), "register_label"),
        (lambda m: m.record_metric("features_completed", 1, labels={"model": "a"}), "known for this metric: agent, project"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "/usr/bin/x"}), "a path"),
        (lambda m: m.record_metric("x", 1, labels={"tool": r"C:\x"}), "a path"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "0b7c1c5e-3c4d-4d2e-9f1a-0123456789ab"}), "identifier"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}), "identifier"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "ann@example.org"}), "e-mail"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "y" * 65}), "65 characters"),
        (lambda m: m.record_metric("x", 1, labels={"tool": "  "}), "letter or digit"),
        (lambda m: m.record_metric("x", 1, labels={"tool": None}), "short text"),
        (lambda m: m.record_metric("x", 1, labels="tool=x"), "a dict"),
        (lambda m: m.record_metric("x", 1, unit="per cent!"), "unit"),
        (lambda m: m.register_label("Customer"), "lower-case"),
        (lambda m: m.record_error("boom"), "an exception is expected"),
        (lambda m: m.track_task(""), "name is expected"),
        (lambda m: m.track_task("t", complexity=0), "1 to 1000"),
        (lambda m: m.track_task("t", complexity=2.5), "1 to 1000"),
        (lambda m: m.span("/etc"), "a path"),
        (lambda m: track_task(monitor=m, complexity="5")(print), "1 to 1000"),
        (lambda m: track_quality(monitor=m, test_coverage_required=90), "0 to 1"),
        (lambda m: track_quality(monitor=m, below="shout"), "'warning' or 'error'"),
        (lambda _: AgentMonitor(agent_id="/home/ann"), "agent_id: a path"),
        (lambda _: AgentMonitor(labels="customer"), "a tuple"),
        (lambda _: AgentMonitor("a", "b", agent_level=1.5), "whole number"),
    ],
)  # fmt: skip
def test_misuse_raises_an_error_that_says_what_is_expected(monitor: AgentMonitor, home: Home, call, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        call(monitor)
    assert recorded(home) == []


def test_all_monitors_of_a_program_share_kind_and_unit_of_a_name(monitor: AgentMonitor) -> None:
    monitor.gauge("queue_length", -3, unit="job")
    with pytest.raises(MisuseError, match="already used as a gauge"):
        AgentMonitor("other", "shop").increment("queue_length")
    with pytest.raises(MisuseError, match="unit"):
        monitor.gauge("queue_length", 3, unit="s")
    monitor.record_metric("queue_length", 4)  # uses the kind of the name


def test_the_daemon_counts_a_kind_conflict_between_programs(
    monitor: AgentMonitor, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.increment("jobs", 2)
    totals_of(home)
    monkeypatch.setattr(names, "_in_use", {})  # as if it were another program
    monitor.gauge("jobs", 7)
    monitor.increment("others")
    found = totals_of(home)
    assert found["claude_jobs_total", ""] == 2
    assert found["claude_others_total", ""] == 1
    assert found["claude_hooks_events_dropped_total", "reason=kind_conflict"] == 1


def test_labels_are_normalized_and_can_replace_the_identity(home: Home) -> None:
    AgentMonitor(agent_id=" Backend ", project_name="Book Cataloger").increment("x")
    AgentMonitor(agent_id="backend", project_name="book-cataloger").increment("claude_X_total")
    AgentMonitor(agent_id="other", project_name="z").increment(
        "x", labels={"agent": "BACKEND", "project": "Book Cataloger", "team": "Core"}
    )
    found = totals_of(home)
    assert (found["claude_x_total", ""], found["claude_x_total", "team=core"]) == (2, 1)


def test_a_registered_label_is_accepted(home: Home) -> None:
    monitor = AgentMonitor("a", "b", labels=("customer",))
    monitor.increment("x", labels={"customer": "ACME"})
    monitor.record_cost(Decimal("0.1"))
    assert totals_of(home)["claude_x_total", "customer=acme"] == 1


def test_without_arguments_the_identity_comes_from_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLAUDE_AGENT_ID", "Frontend")
    monkeypatch.chdir(tmp_path)
    AgentMonitor().increment("x")
    ((envelope, _),) = recorded(home)
    assert (envelope.headers["agent"], envelope.headers["project_directory"]) == ("Frontend", str(tmp_path))


def test_resource_attributes_label_a_program_after_its_own_variables(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "project.name=book-cataloger,team=backend,agent.id=api,sprint=6B")
    monkeypatch.setenv("CLAUDE_AGENT_TEAM", "core")
    AgentMonitor("worker").increment("x")
    ((envelope, _),) = recorded(home)
    found = {key: envelope.headers[key] for key in ("agent", "project", "team", "sprint")}
    assert found == {"agent": "worker", "project": "book-cataloger", "team": "core", "sprint": "6B"}


def test_undecodable_resource_attributes_label_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=backend,what")
    assert AgentMonitor("worker").team == ""


def test_fractions_add_up_exactly_and_a_gauge_has_its_newest_value(home: Home) -> None:
    times = iter((30, 10, 20))
    monitor = AgentMonitor("a", "b", now_ns=lambda: NOW + next(times, 0))
    for value in (3.5, -1.25, 2):
        monitor.gauge("temperature", value)
    for _ in range(10):
        monitor.increment("x", 0.1)
        monitor.record_cost(0.87)
    found = totals_of(home)
    assert found["claude_temperature", ""] == 3.5
    assert found["claude_x_total", ""] == 1
    assert found["claude_api_cost_usd_total", "agent_type=sdk,model=unknown"] == 8.7


def test_two_copies_of_a_program_record_count_once(monitor: AgentMonitor, home: Home) -> None:
    monitor.increment("x")
    with monitor.track_task("t"):
        pass
    for path in list((home.spool / "new").iterdir()):
        (home.spool / "new" / f"{path.name}.copy").write_bytes(path.read_bytes())
    found = totals_of(home)
    assert (found["claude_x_total", ""], found["claude_tasks_completed_total", "task_type=task"]) == (1, 1)


def test_an_invalid_program_record_is_set_aside(home: Home) -> None:
    home.create()
    spool = Spool(home.spool)
    spool.write("sdk.measurement", {}, b'{"id": "1"}')
    spool.write("sdk.unheard_of", {}, b"{}")
    assert totals_of(home)["claude_hooks_events_dropped_total", "reason=unreadable"] == 2
    assert len(list(spool.broken.iterdir())) == 2


# -- tasks, spans, errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Error", "/a/path/of no label", "", "x" * 10_000])
@pytest.mark.parametrize("start", ["track_task", "span"])
def test_a_failing_block_raises_its_own_exception_whatever_its_name(
    monitor: AgentMonitor, home: Home, start: str, name: str
) -> None:
    """The name of the exception becomes a label. A name that no label may have does not hide the exception."""
    own = type(name, (Exception,), {})("own")
    with pytest.raises(Exception, match="own") as caught, getattr(monitor, start)("work"):
        raise own
    assert caught.value is own
    assert [payload["outcome"] for _, payload in recorded(home) if "outcome" in payload] == ["failure"]


def test_a_failed_task_is_recorded_and_its_exception_propagates(monitor: AgentMonitor, home: Home) -> None:
    with pytest.raises(ZeroDivisionError), monitor.track_task("outer"), monitor.track_task("inner", complexity=8):
        try:
            raise ZeroDivisionError  # noqa: TRY301
        except ZeroDivisionError as error:
            monitor.record_error(error)
            raise
    found = totals_of(home)
    assert found["claude_tasks_failed_total", "task_type=task"] == 2
    assert found["claude_errors_total", "error=zerodivisionerror"] == 1
    assert ("claude_tasks_completed_total", "task_type=task") not in found
    assert ("claude_story_points_delivered_total", "") not in found


def test_a_task_of_a_killed_program_counts_as_created(monitor: AgentMonitor, home: Home) -> None:
    contextvars.copy_context().run(monitor.track_task("t").__enter__)
    found = totals_of(home)
    assert found["claude_tasks_created_total", "task_type=task"] == 1
    assert ("claude_tasks_completed_total", "task_type=task") not in found


def test_tasks_and_spans_have_their_parents_in_asyncio_tasks_too(monitor: AgentMonitor, home: Home) -> None:
    async def child(name: str) -> None:
        async with monitor.span(name):
            await asyncio.sleep(0)
            with monitor.span(f"{name}-inner"):
                await asyncio.sleep(0)

    async def main() -> None:
        with monitor.track_task("all"):
            await asyncio.gather(child("a"), child("b"))

    asyncio.run(main())
    core = assemble_core(home, Config(), lambda: NOW)
    core.intake.take_events()
    spans = {span.name: span for span in core.facts.select(model.ProgramSpan)}
    core.store.close()
    parents = {
        name: next((other.name for other in spans.values() if other.span_id == span.parent_id), None)
        for name, span in spans.items()
    }
    assert parents == {"all": None, "a": "all", "b": "all", "a-inner": "a", "b-inner": "b"}


def test_decorated_functions_of_every_kind_behave_as_before(monitor: AgentMonitor, home: Home) -> None:
    track = track_task(monitor=monitor)

    @track
    def plain(a: int, *, b: int) -> int:
        """Adds."""
        return a + b

    @track
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        return "async"

    @track
    def generator(n: int) -> Iterator[int]:
        got = yield from range(n)
        try:
            got = yield "send"
        except KeyError:
            got = yield "caught"
        return got

    @track
    async def async_generator(n: int):
        for number in range(n):
            try:
                yield number
            except KeyError:
                yield "caught"

    assert (plain(1, b=2), plain.__name__, plain.__doc__) == (3, "plain", "Adds.")
    assert asyncio.run(asynchronous()) == "async"
    items = generator(1)
    assert [next(items), next(items)] == [0, "send"]
    assert items.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as end:
        items.send("value")
    assert end.value.value == "value"
    closed = generator(5)
    next(closed)
    closed.close()

    async def use() -> list:
        found = [item async for item in async_generator(2)]
        other = async_generator(2)
        found.append(await anext(other))
        found.append(await other.athrow(KeyError()))
        await other.aclose()
        return found

    assert asyncio.run(use()) == [0, 1, 0, "caught"]
    found = totals_of(home)
    assert found["claude_tasks_completed_total", "task_type=task"] == 6
    assert ("claude_tasks_failed_total", "task_type=task") not in found


def test_spans_between_the_items_of_a_generator_are_not_its_children(monitor: AgentMonitor, home: Home) -> None:
    @track_task(monitor=monitor)
    def items() -> Iterator[int]:
        yield 1

    for _ in items():
        with monitor.span("consumer"):
            pass
    parents = [payload["parent"] for envelope, payload in recorded(home) if envelope.event == "sdk.span"]
    assert parents == [None]


def test_performance_counts_items_in_and_out(monitor: AgentMonitor, home: Home) -> None:
    @track_performance(monitor=monitor)
    def halve(items: list) -> Iterator[int]:
        yield from items[::2]

    @track_performance(monitor=monitor, operation="failing")
    def fails(items: list) -> None:
        raise OSError

    assert list(halve([1, 2, 3, 4])) == [1, 3]
    with pytest.raises(OSError):  # noqa: PT011
        fails([1])
    found = totals_of(home)
    assert found["claude_operation_items_in_total", "operation=halve"] == 4
    assert found["claude_operation_items_out_total", "operation=halve"] == 2
    assert found["claude_operation_efficiency", "operation=halve"] == 0.5
    assert found["claude_operation_throughput", "operation=halve"] > 0
    assert found["claude_operation_duration_seconds", "operation=failing,outcome=failure"] == 1


def test_quality_reads_the_coverage_of_a_run_during_the_call(home: Home, tmp_path: Path) -> None:
    """The decorated function runs the real coverage.py on a program. Half of that is covered."""
    (tmp_path / "half.py").write_text("import sys\nif len(sys.argv) > 5:\n    a = 1\n    b = 2\n")
    program = """
import subprocess, sys, os
from claude_monitoring import AgentMonitor, track_quality, QualityError
monitor = AgentMonitor("a", "b")
def tests(): subprocess.run([sys.executable, "-m", "coverage", "run", "half.py"], check=True)
track_quality(monitor=monitor, test_coverage_required=0.5, below="error")(tests)()
try:
    track_quality(monitor=monitor, test_coverage_required=0.9, below="error")(tests)()
except QualityError as error:
    print(error)
"""
    environ = {"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "the tests cover 50.0%; 90.0% is required", done.stderr
    found = totals_of(home)
    assert found["claude_test_coverage_percent", ""] == 50
    assert found["claude_quality_checks_total", "outcome=passed"] == 1
    assert found["claude_quality_checks_total", "outcome=failed"] == 1


def test_quality_reads_the_coverage_of_the_program_itself(home: Home, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from claude_monitoring import AgentMonitor, track_quality\n"
        "monitor = AgentMonitor('a', 'b')\n"
        "@track_quality(monitor=monitor, test_coverage_required=0.1, below='error')\n"
        "def tests():\n    pass\n"
        "tests()\n"
    )
    environ = {"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--include=program.py", "program.py"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert totals_of(home)["claude_test_coverage_percent", ""] == 100


def test_quality_without_a_result_warns_or_raises_as_configured(
    monitor: AgentMonitor, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = tmp_path / "none.json"
    with pytest.warns(QualityWarning, match="no result"):
        track_quality(monitor=monitor, test_coverage_required=0.9, report=missing)(lambda: None)()
    with pytest.raises(QualityError, match="no result"):
        track_quality(monitor=monitor, test_coverage_required=0.9, below="error", report=missing)(lambda: None)()
    (tmp_path / "coverage.xml").write_text(
        '<?xml version="1.0" ?>\n<coverage version="7" line-rate="0.91" branch-rate="0"></coverage>'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        track_quality(monitor=monitor, test_coverage_required=0.9, report=tmp_path / "coverage.xml")(lambda: None)()
    assert totals_of(home)["claude_quality_checks_total", "outcome=unknown"] == 2


@pytest.mark.parametrize("make", [files.fifo, files.circle, files.device, files.huge, files.nested, files.link_to_zero])
def test_no_coverage_result_makes_a_program_wait(
    monitor: AgentMonitor, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    report = tmp_path / "coverage.json"
    try:
        make(report)
    except PermissionError as error:
        pytest.skip(f"this user cannot make it: {error}")
    with pytest.warns(QualityWarning, match="no result"):
        track_quality(monitor=monitor, test_coverage_required=0.9, report=report)(lambda: None)()


# -- without a daemon ------------------------------------------------------------------------------------------------------


def test_records_that_nothing_reads_stay_in_the_budget_and_are_named_once(
    monitor: AgentMonitor, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool_recorder, "LOOKS_EVERY", 10)
    monkeypatch.setattr(spool_budget, "Budget", lambda: Budget(max_files=20))
    for _ in range(100):
        monitor.increment("x")
    waiting, dropped = Spool(home.spool).depth(), take_dropped(Spool(home.spool))
    assert waiting <= 20
    assert waiting + dropped == 100
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(
        "no daemon reads the spool, and 10 records and events wait. Run `claude-hooks-otel flush`."
    )


def test_with_a_daemon_nothing_is_said(
    monitor: AgentMonitor, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool_recorder, "LOOKS_EVERY", 10)
    lock = DaemonLock.acquire(home)
    for _ in range(30):
        monitor.increment("x")
    lock.release()
    assert caplog.records == []


ENDS = {
    "atexit": "import atexit; atexit.register(monitor.increment, 'x')",
    "a signal's handler": "import os, signal; signal.signal(signal.SIGTERM, lambda *_: (monitor.increment('x'), os._exit(0))); os.kill(os.getpid(), signal.SIGTERM)",
    "a handler between two calls": "import os, signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nfor _ in range(300): monitor.increment('y')\nmonitor.increment('x')",
    "a thread at the end": "import threading; threading.Thread(target=monitor.increment, args=('x',)).start()",
    "a destructor": "class Ends:\n    def __del__(self): monitor.increment('x')\nkept = Ends()",
    "an unhandled error": "monitor.increment('x')\n1 / 0",
    "a fork": "import os\nif os.fork() == 0:\n    monitor.increment('x')\n    os._exit(0)\nos.wait()",
}  # fmt: skip


@pytest.mark.parametrize("how", ENDS)
def test_a_call_at_the_end_of_a_program_is_recorded(home: Home, how: str) -> None:
    program = f"from claude_monitoring import AgentMonitor\nmonitor = AgentMonitor('a', 'b')\n{ENDS[how]}"
    environ = {"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(home.root)}
    subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, check=False, timeout=60)
    found = totals_of(home)
    assert found["claude_x_total", ""] == 1
    assert found.get(("claude_y_total", ""), 0) == (300 if "between" in how else 0)


# -- failures ------------------------------------------------------------------------------------------------------------


def test_a_full_disk_raises_nothing_and_is_logged_once_and_counted(
    monitor: AgentMonitor, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.increment("x")
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    monitor.increment("x")
    monitor.increment("x")
    monkeypatch.undo()
    assert monitor.lost == 2
    assert [record.levelname for record in caplog.records if record.name == "claude_monitoring"] == ["WARNING"]
    found = totals_of(home)
    assert found["claude_x_total", ""] == 1
    assert found["claude_hooks_events_dropped_total", "reason=spool_full"] == 2


def test_a_missing_home_folder_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("CLAUDE_HOOKS_OTEL_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monitor = AgentMonitor("a", "b")
    monitor.increment("x")
    assert monitor.lost == 2
    assert "no home folder" in caplog.text


def test_an_exception_that_cannot_be_marked_is_recorded_too(monitor: AgentMonitor, home: Home) -> None:
    class Slotted(Exception):  # noqa: N818
        def __setattr__(self, *_: object) -> None:
            raise AttributeError

    monitor.record_error(Slotted())
    assert totals_of(home)["claude_errors_total", "error=slotted"] == 1


def test_a_counted_exception_can_still_be_pickled(monitor: AgentMonitor) -> None:
    error = ValueError("x")
    monitor.record_error(error)
    assert pickle.loads(pickle.dumps(error)).args == ("x",)


# -- the host's own providers -------------------------------------------------------------------------------------------


def test_with_providers_everything_goes_to_them_and_nothing_to_the_spool(home: Home) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    monitor = AgentMonitor("Backend", "shop", meter_provider=MeterProvider([reader]), tracer_provider=tracers)
    with monitor.track_task("t", complexity=3, task_type="feature"), monitor.span("s"):
        monitor.increment("x", 2.5)
        monitor.gauge("context_usage_percent", 45.3)
        monitor.record_cost(0.87)
    with pytest.raises(KeyError), monitor.span("broken"):
        raise KeyError
    data = reader.get_metrics_data()
    found = {
        (metric.name, point.attributes["agent"], point.attributes["project"]): getattr(point, "value", None)
        or point.count
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    own = ("backend", "shop")
    assert found["claude.x", *own] == 2.5
    assert found["claude.context.usage", *own] == 45.3
    assert found["claude.api.cost.usd", *own] == 0.87
    assert (
        found["claude.tasks.created", *own]
        == found["claude.tasks.completed", *own]
        == found["claude.task.duration", *own]
        == 1
    )
    assert found["claude.story_points.delivered", *own] == 3
    assert found["claude.errors", *own] == 1
    by_name = {span.name: span for span in spans.get_finished_spans()}
    assert by_name["s"].parent.span_id == by_name["t"].context.span_id
    assert not by_name["broken"].status.is_ok
    assert not home.spool.exists()


# -- limits in the daemon ------------------------------------------------------------------------------------------------


def write(home: Home, **fields: object) -> None:
    """Write a program record without the SDK."""
    home.create()
    record = {
        "id": os.urandom(8).hex(),
        "at": NOW,
        "metric": "claude.x",
        "kind": "counter",
        "unit": "{value}",
        "value": 1,
        **fields,
    }
    Spool(home.spool).write("sdk.measurement", {"agent": "a", "project": "b"}, json.dumps(record).encode())


def test_the_number_of_declared_names_is_limited(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_programs, "MOST_METRICS", 3)
    for number in range(5):
        write(home, metric=f"claude.order_{number}")
    found = totals_of(home)
    assert sum(name.startswith("claude_order_") for name, _ in found) == 3
    assert found["claude_hooks_events_dropped_total", "reason=too_many_metrics"] == 2


def test_a_gauge_has_a_limited_number_of_label_sets_and_existing_ones_still_change(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_gauges, "MOST_GAUGES", 2)
    for tool in ("p", "q", "r"):
        write(home, kind="gauge", labels={"tool": tool})
    write(home, kind="gauge", labels={"tool": "p"}, value=7, at=NOW + 1)
    found = totals_of(home)
    assert found["claude_hooks_events_dropped_total", "reason=too_many_series"] == 1
    assert len([name for name, _ in found if name == "claude_x"]) == 2
    assert 7 in found.values()


def test_no_program_can_write_metrics_of_the_catalog(home: Home) -> None:
    write(home, metric="claude.hooks.spool.depth", kind="gauge")
    assert totals_of(home)["claude_hooks_events_dropped_total", "reason=reserved_name"] == 1


def test_declared_metrics_survive_a_restart_of_the_daemon(monitor: AgentMonitor, home: Home) -> None:
    monitor.increment("x", 1)
    monitor.histogram("latency", 0.2, unit="s")
    totals_of(home)
    monitor.increment("x", 1)
    found = totals_of(home)
    assert found["claude_x_total", ""] == 2
    assert found["claude_latency_seconds", ""] == 1


@pytest.mark.slow
def test_decorated_functions_keep_their_types_for_a_type_checker(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "from claude_monitoring import AgentMonitor, track_performance, track_quality, track_task\n"
        "from claude_monitoring.exporters import CustomExporter, MetricRecord\n"
        "monitor = AgentMonitor('a', 'b')\n"
        "@track_task(monitor=monitor)\n@track_performance(monitor=monitor)\n@track_quality(monitor=monitor)\n"
        "def inner(a: int) -> str: return str(a)\n"
        "@track_task\ndef bare(a: int) -> str: return str(a)\n"
        "class Own(CustomExporter):\n    def export_metric(self, metric: MetricRecord) -> None: print(metric.value)\n"
        "reveal_type(inner)\nreveal_type(bare)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "typed.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.count('Revealed type is "def (a: int) -> str"') == 2, done.stdout
    assert done.returncode == 0, done.stdout
