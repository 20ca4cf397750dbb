"""``doctor``: it finds each broken link, says what to do, and leaves no trace."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import app
from claude_hooks_otel.cli.doctor import diagnose
from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure
from claude_hooks_otel.diagnosis import capture, export, state
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, run_checks
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.settings import Config, Signal
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.schema import SCHEMA_VERSION
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import EMIT

# Which check reports which link.
CHECKS = [
    ("hooks", capture.hooks_registered),
    ("switches", capture.hooks_switched_on),
    ("hook file", capture.hook_file),
    ("capture", capture.capture_works),
    ("home", state.home_folder),
    ("configuration", state.configuration),
    ("interpreter", state.interpreter),
    ("daemon", state.daemon),
    ("spool", state.spool),
    *((link, state.store) for link in ("store", "last event", "lost events", "prices", "client")),
    ("variables", export.variables),
    *((link, export.endpoints) for link in ("export", "otel variables")),
    *((f"export {signal}", export.endpoints) for signal in Signal),
    *((f"export otlp {signal}", export.endpoints) for signal in Signal),
]


class Machine:
    """A user's account with everything installed; tests break one thing each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": str(root), "PATH": os.environ["PATH"]}
        self.home = Home(root / ".local" / "state" / "claude-hooks-otel")
        self.settings = root / ".claude" / "settings.json"
        self.project = root / "project"
        self.managed = root / "managed.json"
        self.project.mkdir()

    def install(self, *options: str) -> None:
        result = CliRunner().invoke(app, ["install", *options])
        assert result.exit_code == 0, result.output

    def change_settings(self, **values: Any) -> None:
        present = json.loads(self.settings.read_text()) if self.settings.exists() else {}
        self.settings.parent.mkdir(exist_ok=True)
        self.settings.write_text(json.dumps(present | values))

    @property
    def findings(self) -> list[Finding]:
        return diagnose(Surroundings(self.environ, self.project, (self.managed,)))

    def the(self, link: str) -> Finding:
        checks = [check for name, check in CHECKS if name == link]
        found = list(run_checks(checks, Surroundings(self.environ, self.project, (self.managed,))))
        found = [finding for finding in found if finding.link == link]
        assert len(found) == 1, found
        return found[0]

    @property
    def complaints(self) -> dict[str, Level]:
        return {finding.link: finding.level for finding in self.findings if finding.level in (Level.WARN, Level.FAIL)}

    def core(self) -> Core:
        return assemble_core(self.home, Config(), time.time_ns)

    def capture(self, **payload: Any) -> None:
        event = {
            "session_id": "s",
            "transcript_path": "/none.jsonl",
            "cwd": "/",
            "hook_event_name": "SessionStart",
            "source": "startup",
        }
        Spool(self.home.spool).write(
            payload.get("hook_event_name", "SessionStart"), {}, json.dumps(event | payload).encode()
        )


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = Machine(tmp_path)
    monkeypatch.chdir(machine.project)
    return machine


@pytest.fixture
def machine(bare: Machine) -> Machine:
    bare.install()
    return bare


def test_after_install_nothing_is_wrong(machine: Machine) -> None:
    assert machine.complaints == {}
    assert [finding.link for finding in machine.findings] == [
        "shell", "hooks", "switches", "hook file", "capture", "home", "configuration", "interpreter", "daemon", "spool", "store", "export",
    ]  # fmt: skip


def test_every_complaint_has_a_remedy_and_everything_was_observed(bare: Machine) -> None:
    assert all(finding.observed for finding in bare.findings)
    assert all(finding.remedy for finding in bare.findings if finding.level in (Level.WARN, Level.FAIL))


def test_before_install_it_says_what_is_missing(bare: Machine) -> None:
    bare.environ["PATH"] = "/usr/bin:/bin"
    assert bare.complaints == {"hooks": Level.FAIL, "home": Level.FAIL, "interpreter": Level.FAIL}
    assert bare.the("hooks").remedy == "Run `claude-hooks-otel install`."


def test_it_leaves_no_trace(machine: Machine) -> None:
    def content() -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in machine.root.rglob("*")}

    before = content()
    assert machine.findings
    assert content() == before


# -- capture -----------------------------------------------------------------------------------------------------------------


def test_missing_and_surplus_events_are_named(machine: Machine) -> None:
    hooks = json.loads(machine.settings.read_text())["hooks"]
    del hooks["Stop"]
    machine.change_settings(hooks=hooks)
    assert machine.the("hooks").observed == "user settings: missing Stop"
    machine.install()
    old = {"hooks": [{"type": "command", "command": registration.command("Setup", registration.SETTINGS_EMIT)}]}
    machine.change_settings(hooks=json.loads(machine.settings.read_text())["hooks"] | {"Setup": [old]})
    assert machine.the("hooks").observed == "an older version registered: Setup"


def test_commands_of_another_version_are_named(machine: Machine) -> None:
    machine.change_settings(hooks=registration.hook_settings("/old/hooks/emit"))
    assert (machine.the("hooks").level, str(machine.settings) in machine.the("hooks").observed) == (Level.WARN, True)


def test_hooks_of_the_project_count(bare: Machine) -> None:
    bare.install("--scope", "local")
    assert bare.the("hooks").observed == f"local settings: all {len(registration.REGISTERED)} events"


def test_a_settings_file_that_the_client_cannot_read_is_named(machine: Machine) -> None:
    (machine.project / ".claude").mkdir()
    (machine.project / ".claude" / "settings.json").write_text("{")
    broken = [finding for finding in machine.findings if finding.link == "hooks" and finding.level is Level.FAIL]
    assert "project/.claude/settings.json is not valid JSON" in broken[0].observed


def test_the_plugin_counts_and_twice_is_told(bare: Machine) -> None:
    bare.change_settings(enabledPlugins={"hooks-otel@market": True})
    assert bare.the("hooks").observed == f"plugin: all {len(registration.REGISTERED)} events"
    bare.install()
    assert "every hook runs twice" in bare.the("hooks").observed


def test_a_plugin_s_copy_is_compared_and_tried(bare: Machine) -> None:
    bare.change_settings(enabledPlugins={"hooks-otel@market": True})
    hooks = bare.settings.parent / "plugins" / "cache" / "market" / "hooks-otel" / "0.0.9" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "emit").write_text("exit 0\n")
    assert (bare.the("hook file").level, bare.the("capture").level) == (Level.WARN, Level.FAIL)
    (hooks / "emit").write_bytes(EMIT.read_bytes())
    assert (bare.the("hook file").level, bare.the("capture").level) == (Level.OK, Level.OK)


def test_a_switch_that_turns_hooks_off_fails_unless_overruled(machine: Machine) -> None:
    machine.change_settings(disableAllHooks=True)
    assert machine.the("switches").level is Level.FAIL
    (machine.project / ".claude").mkdir()
    (machine.project / ".claude" / "settings.local.json").write_text('{"disableAllHooks": false}')
    assert machine.the("switches").level is Level.OK


def test_managed_hooks_alone_shut_ours_out(machine: Machine) -> None:
    machine.managed.write_text('{"allowManagedHooksOnly": true}')
    assert machine.the("switches").level is Level.FAIL
    machine.managed.write_text(json.dumps({"allowManagedHooksOnly": True, "hooks": registration.settings_hooks()}))
    assert machine.the("switches").level is Level.OK


def test_an_environment_without_hooks_is_named(machine: Machine) -> None:
    machine.environ["CLAUDE_CODE_SIMPLE"] = "1"
    assert "CLAUDE_CODE_SIMPLE" in machine.the("switches").observed


def _gone(machine: Machine) -> None:
    machine.home.emit.unlink()


def _other(machine: Machine) -> None:
    machine.home.emit.write_text(machine.home.emit.read_text() + "# changed\n")


@pytest.mark.parametrize(
    ("change", "file", "capture"), [(_gone, Level.FAIL, Level.FAIL), (_other, Level.WARN, Level.OK)]
)
def test_the_hook_file_is_looked_at_and_tried(
    machine: Machine, change: Callable[[Machine], None], file: Level, capture: Level
) -> None:
    change(machine)
    assert (machine.the("hook file").level, machine.the("capture").level) == (file, capture)


def test_a_hook_that_would_disturb_the_session_fails(machine: Machine) -> None:
    machine.home.emit.write_text("echo noise\n")
    assert "disturbs the session" in machine.the("capture").observed


# -- state -------------------------------------------------------------------------------------------------------------------


def test_a_home_open_to_others_is_a_warning(machine: Machine) -> None:
    machine.home.root.chmod(0o755)
    assert machine.the("home").level is Level.WARN
    assert machine.the("home").remedy == f"Run `chmod 700 '{machine.home.root}'`."


@pytest.mark.parametrize(("free", "level"), [(100_000_000, Level.WARN), (1_000_000, Level.FAIL)])
def test_a_disk_that_is_getting_full_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine.the("home").level is level


def test_the_home_that_settings_name_is_the_one_looked_at(machine: Machine) -> None:
    machine.change_settings(env={"CLAUDE_HOOKS_OTEL_HOME": "/elsewhere"})
    homes = [finding for finding in machine.findings if finding.link == "home"]
    assert [(finding.level, "/elsewhere" in finding.observed) for finding in homes] == [
        (Level.WARN, True),
        (Level.FAIL, True),
    ]


def test_a_broken_configuration_is_quoted(machine: Machine) -> None:
    machine.home.config.write_text('[daemon]\nidle_timeout_seconds = "soon"\n')
    assert machine.the("configuration").level is Level.FAIL
    assert "daemon.idle_timeout_seconds" in machine.the("configuration").observed


def test_a_configuration_open_to_others_is_a_warning(machine: Machine) -> None:
    machine.home.config.write_text("")
    machine.home.config.chmod(0o644)
    assert machine.the("configuration").level is Level.WARN


@pytest.mark.parametrize(
    ("python", "observed"),
    [
        ("/nowhere/python", "cannot be run"),
        ("#!/bin/sh\necho 9.9.9\n", "has version 9.9.9"),
        ("#!/bin/sh\necho broken >&2; exit 1\n", "broken"),
    ],
)
def test_an_interpreter_without_this_package_is_told(machine: Machine, python: str, observed: str) -> None:
    if python.startswith("#!"):
        program = machine.root / "python"
        program.write_text(python)
        program.chmod(0o755)
        python = str(program)
    machine.home.interpreter.write_text(f"{python}\n")
    assert observed in machine.the("interpreter").observed
    assert machine.the("interpreter").level is (Level.WARN if "9.9.9" in observed else Level.FAIL)


def test_the_interpreter_of_this_package_is_well(machine: Machine) -> None:
    assert sys.executable in machine.the("interpreter").observed
    assert machine.the("interpreter").level is Level.OK


def test_a_running_daemon_is_seen(machine: Machine) -> None:
    lock = DaemonLock.acquire(machine.home)
    assert machine.the("daemon").observed == f"running, process {os.getpid()}"
    lock.release()


def test_a_daemon_that_could_not_start_is_a_failure_until_one_did(machine: Machine) -> None:
    machine.home.log.write_text(
        "2026-11-24 INFO started; exporting\n2026-11-24 ERROR could not start\nTraceback ...\nValueError: why\n"
    )
    assert (machine.the("daemon").level, "ValueError: why" in machine.the("daemon").observed) == (Level.FAIL, True)
    machine.home.log.write_text("2026-11-24 ERROR could not start\n2026-11-24 INFO started; exporting\n")
    assert machine.the("daemon").level is Level.OK


def test_events_that_wait_although_a_daemon_runs_are_a_warning(machine: Machine) -> None:
    name = Spool(machine.home.spool).write("Stop", {}, b"{}")
    old = time.time() - 300
    os.utime(machine.home.spool / "new" / name, (old, old))
    assert machine.the("spool").level is Level.OK
    lock = DaemonLock.acquire(machine.home)
    assert "1 waiting, the oldest for 30" in machine.the("spool").observed
    assert machine.the("spool").level is Level.WARN
    lock.release()


def test_files_set_aside_are_told(machine: Machine) -> None:
    (machine.home.spool / "broken" / "x").touch()
    assert [finding.level for finding in machine.findings if finding.link == "spool"] == [Level.OK, Level.WARN]


def test_the_last_event_is_told(machine: Machine) -> None:
    core = machine.core()
    assert machine.the("last event").level is Level.WARN
    machine.capture()
    core.intake.take_events()
    core.store.close()
    assert machine.the("last event").level is Level.OK
    assert machine.the("store").observed == f"1 sessions, schema {SCHEMA_VERSION}"


def test_lost_events_are_told_by_reason(machine: Machine) -> None:
    core = machine.core()
    (machine.home.spool / "new" / "Stop.s.1").touch()
    Spool(machine.home.spool).write("Stop", {}, b"no json")
    core.intake.take_events()
    core.store.close()
    assert machine.the("lost events").observed == "1 spool_full, 1 unreadable"


def test_news_from_the_client_are_told(machine: Machine) -> None:
    core = machine.core()
    machine.capture(hook_event_name="BrandNew")
    core.intake.take_events()
    core.store.close()
    assert (machine.the("client").level, "event BrandNew" in machine.the("client").observed) == (Level.INFO, True)


def test_models_without_a_price_are_told_with_what_to_add(machine: Machine) -> None:
    core = machine.core()
    with core.store.transaction():
        core.totals.add(catalog.UNPRICED_TOKENS, (("agent", "a"), ("model", "claude-novel-1"), ("project", "p")), 5)
    core.store.close()
    assert '[prices."claude-novel-1"]' in machine.the("prices").remedy


def test_a_store_that_is_no_database_fails(machine: Machine) -> None:
    machine.home.store.write_text("not a database, by far, whatever its name may say" * 50)
    assert machine.the("store").level is Level.FAIL


def test_a_store_of_a_newer_version_fails(machine: Machine) -> None:
    core = machine.core()
    with core.store.transaction():
        core.store.set_meta("schema_version", str(SCHEMA_VERSION + 1))
    core.store.close()
    assert "newer version" in machine.the("store").observed


# -- export ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_endpoint_is_asked_with_an_empty_request(
    machine: Machine, otlp_receiver: OtlpReceiver, protocol: str
) -> None:
    endpoint = otlp_receiver.grpc_endpoint if protocol == "grpc" else otlp_receiver.http_endpoint
    machine.install("--endpoint", endpoint, "--protocol", protocol)
    assert machine.the("export otlp metrics").level is Level.OK, machine.the("export otlp metrics")
    assert "accepted an empty request" in machine.the("export otlp metrics").observed
    assert otlp_receiver.messages("metrics")
    assert otlp_receiver.metrics == []


def test_an_endpoint_that_refuses_fails_with_its_reason(machine: Machine, otlp_receiver: OtlpReceiver) -> None:
    otlp_receiver.http.fail_with(401)
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    assert (machine.the("export otlp metrics").level, "401" in machine.the("export otlp metrics").observed) == (
        Level.FAIL,
        True,
    )


def test_a_header_is_never_shown(
    machine: Machine, otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret-value")
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    assert "s3cret-value" not in repr(machine.findings)


def test_the_last_failure_of_the_daemon_is_told_although_it_works_now(
    machine: Machine, otlp_receiver: OtlpReceiver
) -> None:
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    core = machine.core()
    with core.store.transaction():
        configure(core.store.connection, [ExporterState("metrics", "otlp", error="it was away")])
    core.store.close()
    assert (machine.the("export otlp metrics").level, "it was away" in machine.the("export otlp metrics").observed) == (
        Level.WARN,
        True,
    )


def test_variables_that_only_this_shell_has_are_a_warning(machine: Machine) -> None:
    machine.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://nobody:4318"
    assert machine.the("variables").level is Level.WARN
    assert machine.the("export").level is Level.INFO, "the daemon does not see it, so nothing is sent there"


def test_an_exporter_that_is_not_known_fails(machine: Machine) -> None:
    machine.home.config.write_text('[otel]\nOTEL_METRICS_EXPORTER = "pigeon"\n')
    found = machine.the("export metrics")
    assert (found.level, "pigeon" in found.observed) == (Level.FAIL, True)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_each_signal_is_asked_for_itself(machine: Machine, otlp_receiver: OtlpReceiver, protocol: str) -> None:
    endpoint = otlp_receiver.grpc_endpoint if protocol == "grpc" else otlp_receiver.http_endpoint
    machine.install("--endpoint", endpoint, "--protocol", protocol)
    for signal in Signal:
        found = machine.the(f"export otlp {signal}")
        assert (found.level, "accepted an empty request" in found.observed) == (Level.OK, True), found
        assert otlp_receiver.messages(signal.value)


def test_one_signals_mistake_hides_no_other_signal(machine: Machine, otlp_receiver: OtlpReceiver) -> None:
    machine.home.config.write_text(
        f'[otel]\nOTEL_EXPORTER_OTLP_ENDPOINT = "{otlp_receiver.grpc_endpoint}"\n'
        'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = "http/json"\n'
    )
    mistake = machine.the("export traces")
    assert mistake.level is Level.FAIL
    assert "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json is not supported" in mistake.observed
    assert machine.the("export otlp metrics").level is machine.the("export otlp logs").level is Level.OK


@pytest.mark.parametrize(
    ("status", "wanted", "level"), [(404, "", Level.INFO), (404, "otlp", Level.FAIL), (401, "", Level.FAIL)]
)
def test_an_endpoint_need_not_take_what_nobody_asked_for(
    machine: Machine, otlp_receiver: OtlpReceiver, status: int, wanted: str, level: Level
) -> None:
    """But one that does not let us in is broken for every signal."""
    otlp_receiver.http.fail_with(status)
    machine.home.config.write_text(
        f'[otel]\nOTEL_EXPORTER_OTLP_ENDPOINT = "{otlp_receiver.http_endpoint}"\n'
        f'OTEL_EXPORTER_OTLP_PROTOCOL = "http/protobuf"\nOTEL_LOGS_EXPORTER = "{wanted}"\n'
    )
    found = machine.the("export otlp logs")
    assert (found.level, str(status) in found.observed) == (level, True), found


def test_a_sampler_that_is_not_known_is_a_warning(machine: Machine) -> None:
    machine.home.config.write_text('[otel]\nOTEL_TRACES_SAMPLER = "sometimes"\n')
    found = machine.the("otel variables")
    assert (found.level, "sometimes" in found.observed) == (Level.WARN, True)


# -- the command -------------------------------------------------------------------------------------------------------------


def test_the_exit_code_tells_whether_a_link_is_broken(machine: Machine) -> None:
    healthy = CliRunner().invoke(app, ["doctor"])
    assert (healthy.exit_code, "all 19 events" in healthy.output) == (0, True)
    machine.home.emit.unlink()
    broken = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(broken.stdout)
    assert (broken.exit_code, report["ok"]) == (1, False)
    assert {"link", "level", "observed", "remedy"} == set(report["findings"][0])
    assert "hook file" in [finding["link"] for finding in report["findings"] if finding["level"] == "fail"]


def test_a_check_that_raises_is_a_finding_and_the_others_still_run(bare: Machine) -> None:
    def odd_check(_: Surroundings) -> Iterator[Finding]:
        raise ZeroDivisionError("oops")
        yield

    def other(_: Surroundings) -> Iterator[Finding]:
        yield Finding("other", Level.OK, "fine")

    findings = list(run_checks([odd_check, other], Surroundings(bare.environ, bare.project)))
    assert [(finding.link, finding.level) for finding in findings] == [("odd check", Level.FAIL), ("other", Level.OK)]
    assert "oops" in findings[0].observed
