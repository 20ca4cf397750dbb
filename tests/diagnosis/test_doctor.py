"""``doctor`` finds each broken step, says what to do, and changes nothing."""

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

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure
from claude_hooks_otel.diagnosis import capture, export, state
from claude_hooks_otel.diagnosis.doctor import diagnose
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, run_checks
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.outcomes import Damage
from claude_hooks_otel.settings import Config, Signal
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.schema import SCHEMA_VERSION
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import EMIT

# (step, the check that reports it).
CHECKS = [
    ("claude", capture.installed_client),
    ("hooks", capture.hooks_registered),
    ("switches", capture.hooks_switched_on),
    ("hook file", capture.hook_file),
    ("capture", capture.capture_works),
    ("home", state.home_folder),
    ("configuration", state.configuration),
    ("interpreter", state.interpreter),
    ("daemon", state.daemon),
    ("spool", state.spool),
    *(
        (step, state.store)
        for step in ("store", "last event", "lost events", "transcripts", "prices", "client", "client version")
    ),
    ("variables", export.variables),
    *((step, export.endpoints) for step in ("export", "otel variables")),
    *((f"export {signal}", export.endpoints) for signal in Signal),
    *((f"export otlp {signal}", export.endpoints) for signal in Signal),
]


class Machine:
    """A user's account with everything installed. Each test breaks one thing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": str(root), "PATH": os.environ["PATH"]}
        self.home = Home(root / ".local" / "state" / "claude-hooks-otel")
        self.settings = root / ".claude" / "settings.json"
        self.project = root / "project"
        self.managed = root / "managed.json"
        self.project.mkdir()

    def install(self, *options: str) -> None:
        result = CliRunner().invoke(make_app(), ["install", *options])
        assert result.exit_code == 0, result.output

    def change_settings(self, **values: Any) -> None:
        present = json.loads(self.settings.read_text()) if self.settings.exists() else {}
        self.settings.parent.mkdir(exist_ok=True)
        self.settings.write_text(json.dumps(present | values))

    @property
    def findings(self) -> list[Finding]:
        return diagnose(Surroundings(self.environ, self.project, (self.managed,)))

    def finding(self, step: str) -> Finding:
        checks = [check for name, check in CHECKS if name == step]
        found = list(run_checks(checks, Surroundings(self.environ, self.project, (self.managed,))))
        found = [finding for finding in found if finding.step == step]
        assert len(found) == 1, found
        return found[0]

    @property
    def complaints(self) -> dict[str, Level]:
        return {finding.step: finding.level for finding in self.findings if finding.level in (Level.WARN, Level.FAIL)}

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
def uninstalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = Machine(tmp_path)
    monkeypatch.chdir(machine.project)
    return machine


@pytest.fixture
def machine(uninstalled: Machine) -> Machine:
    uninstalled.install()
    return uninstalled


def test_after_install_there_are_no_complaints(machine: Machine) -> None:
    assert machine.complaints == {}
    assert [finding.step for finding in machine.findings] == [
        "shell", "hooks", "switches", "hook file", "capture", "home", "configuration", "interpreter", "daemon", "spool", "store", "export",
    ]  # fmt: skip


def test_every_finding_has_an_observation_and_every_complaint_a_remedy(uninstalled: Machine) -> None:
    assert all(finding.observed for finding in uninstalled.findings)
    assert all(finding.remedy for finding in uninstalled.findings if finding.level in (Level.WARN, Level.FAIL))


def test_before_install_doctor_names_what_is_missing(uninstalled: Machine) -> None:
    uninstalled.environ["PATH"] = "/usr/bin:/bin"
    assert uninstalled.complaints == {"hooks": Level.FAIL, "home": Level.FAIL, "interpreter": Level.FAIL}
    assert uninstalled.finding("hooks").remedy == "Run `claude-hooks-otel install`."


def test_doctor_changes_no_file(machine: Machine) -> None:
    def content() -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in machine.root.rglob("*")}

    before = content()
    assert machine.findings
    assert content() == before


# -- capture -----------------------------------------------------------------------------------------------------------------


def test_missing_and_superfluous_events_are_named(machine: Machine) -> None:
    hooks = json.loads(machine.settings.read_text())["hooks"]
    del hooks["Stop"]
    machine.change_settings(hooks=hooks)
    assert machine.finding("hooks").observed == "user settings: missing Stop"
    machine.install()
    old = {"hooks": [{"type": "command", "command": registration.command("Setup", registration.SETTINGS_EMIT)}]}
    machine.change_settings(hooks=json.loads(machine.settings.read_text())["hooks"] | {"Setup": [old]})
    assert machine.finding("hooks").observed == "an older version registered: Setup"


def test_light_registration_is_complete_without_the_events_of_tool_calls(uninstalled: Machine) -> None:
    uninstalled.install("--events", "light")
    number = len(registration.events_of(Registration.LIGHT))
    finding = uninstalled.finding("hooks")
    assert (finding.level, finding.observed) == (
        Level.OK, f"user settings: light, {number} events; tool calls come from transcripts",
    )  # fmt: skip
    assert uninstalled.finding("capture").level is Level.OK
    hooks = json.loads(uninstalled.settings.read_text())["hooks"]
    del hooks["Stop"]
    uninstalled.change_settings(hooks=hooks)
    assert uninstalled.finding("hooks").observed == "user settings: missing Stop"


def test_settings_with_different_registrations_are_named(uninstalled: Machine) -> None:
    """Their commands differ, so the client runs both."""
    uninstalled.install("--events", "light")
    uninstalled.install("--scope", "local", "--events", "full")
    assert "one is light, one is full" in uninstalled.finding("hooks").observed
    uninstalled.install("--scope", "local", "--events", "light")
    assert uninstalled.finding("hooks").level is Level.OK


def test_commands_of_another_version_are_named(machine: Machine) -> None:
    machine.change_settings(hooks=registration.hook_settings("/old/hooks/emit"))
    assert (machine.finding("hooks").level, str(machine.settings) in machine.finding("hooks").observed) == (
        Level.WARN,
        True,
    )


def test_hooks_in_the_settings_of_the_project_count(uninstalled: Machine) -> None:
    uninstalled.install("--scope", "local")
    assert uninstalled.finding("hooks").observed == f"local settings: all {len(registration.REGISTERED)} events"


def test_an_invalid_settings_file_is_named(machine: Machine) -> None:
    (machine.project / ".claude").mkdir()
    (machine.project / ".claude" / "settings.json").write_text("{")
    broken = [finding for finding in machine.findings if finding.step == "hooks" and finding.level is Level.FAIL]
    assert "project/.claude/settings.json is not valid JSON" in broken[0].observed


def test_hooks_of_the_plugin_count_and_a_second_registration_is_reported(uninstalled: Machine) -> None:
    uninstalled.change_settings(enabledPlugins={"hooks-otel@market": True})
    assert uninstalled.finding("hooks").observed == f"plugin: all {len(registration.REGISTERED)} events"
    uninstalled.install()
    assert "every hook runs twice" in uninstalled.finding("hooks").observed


def test_the_client_s_copy_of_the_plugin_is_checked(uninstalled: Machine) -> None:
    uninstalled.change_settings(enabledPlugins={"hooks-otel@market": True})
    hooks = uninstalled.settings.parent / "plugins" / "cache" / "market" / "hooks-otel" / "0.0.9" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "emit").write_text("exit 0\n")
    assert (uninstalled.finding("hook file").level, uninstalled.finding("capture").level) == (Level.WARN, Level.FAIL)
    (hooks / "emit").write_bytes(EMIT.read_bytes())
    assert (uninstalled.finding("hook file").level, uninstalled.finding("capture").level) == (Level.OK, Level.OK)


def test_a_switch_that_turns_hooks_off_is_a_failure_unless_other_settings_overrule_it(machine: Machine) -> None:
    machine.change_settings(disableAllHooks=True)
    assert machine.finding("switches").level is Level.FAIL
    (machine.project / ".claude").mkdir()
    (machine.project / ".claude" / "settings.local.json").write_text('{"disableAllHooks": false}')
    assert machine.finding("switches").level is Level.OK


def test_allowing_only_managed_hooks_is_a_failure_unless_ours_are_managed(machine: Machine) -> None:
    machine.managed.write_text('{"allowManagedHooksOnly": true}')
    assert machine.finding("switches").level is Level.FAIL
    machine.managed.write_text(json.dumps({"allowManagedHooksOnly": True, "hooks": registration.settings_hooks()}))
    assert machine.finding("switches").level is Level.OK


def test_a_variable_that_turns_hooks_off_is_named(machine: Machine) -> None:
    machine.environ["CLAUDE_CODE_SIMPLE"] = "1"
    assert "CLAUDE_CODE_SIMPLE" in machine.finding("switches").observed


def _delete_emit(machine: Machine) -> None:
    machine.home.emit.unlink()


def _change_emit(machine: Machine) -> None:
    machine.home.emit.write_text(machine.home.emit.read_text() + "# changed\n")


@pytest.mark.parametrize(
    ("change", "file", "capture"), [(_delete_emit, Level.FAIL, Level.FAIL), (_change_emit, Level.WARN, Level.OK)]
)
def test_the_hook_file_is_compared_and_run(
    machine: Machine, change: Callable[[Machine], None], file: Level, capture: Level
) -> None:
    change(machine)
    assert (machine.finding("hook file").level, machine.finding("capture").level) == (file, capture)


def test_a_hook_that_prints_is_a_failure(machine: Machine) -> None:
    machine.home.emit.write_text("echo noise\n")
    assert "disturbs the session" in machine.finding("capture").observed


# -- state -------------------------------------------------------------------------------------------------------------------


def test_a_home_that_others_can_read_is_a_warning(machine: Machine) -> None:
    machine.home.root.chmod(0o755)
    assert machine.finding("home").level is Level.WARN
    assert machine.finding("home").remedy == f"Run `chmod 700 '{machine.home.root}'`."


@pytest.mark.parametrize(("free", "level"), [(100_000_000, Level.WARN), (1_000_000, Level.FAIL)])
def test_a_nearly_full_disk_is_reported(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine.finding("home").level is level


def test_the_home_in_the_settings_is_checked(machine: Machine) -> None:
    machine.change_settings(env={"CLAUDE_HOOKS_OTEL_HOME": "/elsewhere"})
    homes = [finding for finding in machine.findings if finding.step == "home"]
    assert [(finding.level, "/elsewhere" in finding.observed) for finding in homes] == [
        (Level.WARN, True),
        (Level.FAIL, True),
    ]


def test_an_invalid_configuration_is_a_failure_that_names_the_key(machine: Machine) -> None:
    machine.home.config.write_text('[daemon]\nidle_timeout_seconds = "soon"\n')
    assert machine.finding("configuration").level is Level.FAIL
    assert "daemon.idle_timeout_seconds" in machine.finding("configuration").observed


def test_a_configuration_that_others_can_read_is_a_warning(machine: Machine) -> None:
    machine.home.config.write_text("")
    machine.home.config.chmod(0o644)
    assert machine.finding("configuration").level is Level.WARN


@pytest.mark.parametrize(
    ("python", "observed"),
    [
        ("/nowhere/python", "cannot be run"),
        ("#!/bin/sh\necho 9.9.9\n", "has version 9.9.9"),
        ("#!/bin/sh\necho broken >&2; exit 1\n", "broken"),
    ],
)
def test_an_interpreter_without_this_package_is_reported(machine: Machine, python: str, observed: str) -> None:
    if python.startswith("#!"):
        program = machine.root / "python"
        program.write_text(python)
        program.chmod(0o755)
        python = str(program)
    machine.home.interpreter.write_text(f"{python}\n")
    assert observed in machine.finding("interpreter").observed
    assert machine.finding("interpreter").level is (Level.WARN if "9.9.9" in observed else Level.FAIL)


def test_the_interpreter_of_this_package_is_ok(machine: Machine) -> None:
    assert sys.executable in machine.finding("interpreter").observed
    assert machine.finding("interpreter").level is Level.OK


def test_a_running_daemon_is_reported(machine: Machine) -> None:
    lock = DaemonLock.acquire(machine.home)
    assert machine.finding("daemon").observed == f"running, process {os.getpid()}"
    lock.release()


def test_a_failed_start_of_the_daemon_is_a_failure_until_a_start_succeeds(machine: Machine) -> None:
    machine.home.log.write_text(
        "2026-11-24 INFO started; exporting\n2026-11-24 ERROR could not start\nTraceback ...\nValueError: why\n"
    )
    assert (machine.finding("daemon").level, "ValueError: why" in machine.finding("daemon").observed) == (
        Level.FAIL,
        True,
    )
    machine.home.log.write_text("2026-11-24 ERROR could not start\n2026-11-24 INFO started; exporting\n")
    assert machine.finding("daemon").level is Level.OK


def test_events_that_wait_while_a_daemon_runs_are_a_warning(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    name = Spool(machine.home.spool).write("Stop", {}, b"{}")
    monkeypatch.setattr(time, "time", lambda: 1_000_300.0)
    os.utime(machine.home.spool / "new" / name, (1_000_000, 1_000_000))
    assert machine.finding("spool").level is Level.OK
    lock = DaemonLock.acquire(machine.home)
    assert "1 waiting, the oldest for 5 minutes" in machine.finding("spool").observed
    assert machine.finding("spool").level is Level.WARN
    lock.release()


def test_files_that_were_set_aside_are_a_warning(machine: Machine) -> None:
    (machine.home.spool / "broken" / "x").touch()
    assert [finding.level for finding in machine.findings if finding.step == "spool"] == [Level.OK, Level.WARN]


def test_the_last_event_is_reported(machine: Machine) -> None:
    core = machine.core()
    assert machine.finding("last event").level is Level.WARN
    machine.capture()
    core.intake.take_events()
    core.store.close()
    assert machine.finding("last event").level is Level.OK
    assert machine.finding("store").observed == f"1 sessions, schema {SCHEMA_VERSION}"


def test_lost_events_are_reported_by_reason(machine: Machine) -> None:
    core = machine.core()
    (machine.home.spool / "new" / "Stop.s.1").touch()
    Spool(machine.home.spool).write("Stop", {}, b"no json")
    core.intake.take_events()
    core.store.close()
    assert machine.finding("lost events").observed == "1 spool_full, 1 unreadable"


def test_an_unknown_event_of_the_client_is_reported(machine: Machine) -> None:
    core = machine.core()
    machine.capture(hook_event_name="BrandNew")
    core.intake.take_events()
    core.store.close()
    assert (machine.finding("client").level, "event BrandNew" in machine.finding("client").observed) == (
        Level.INFO,
        True,
    )


def test_the_remedy_for_a_model_without_a_price_is_a_line_of_configuration(machine: Machine) -> None:
    core = machine.core()
    with core.store.transaction():
        core.totals.add(catalog.UNPRICED_TOKENS, (("agent", "a"), ("model", "claude-novel-1"), ("project", "p")), 5)
    core.store.close()
    assert '[prices."claude-novel-1"]' in machine.finding("prices").remedy


def test_a_model_that_is_priced_by_the_answering_model_is_named(machine: Machine) -> None:
    core = machine.core()
    paid = {"answering_model": "claude-sonnet-4-5", "cost": 1, "at_ns": 1_795_000_000_000_000_000}
    with core.store.transaction():
        core.facts.upsert(
            model.ApiRequest(message_id="1", answer_id="", model="team-default", **paid),
            model.ApiRequest(message_id="2", answer_id="", model="claude-sonnet-4-5-20250929", **paid),
        )
    core.store.close()
    assert machine.finding("prices").level is Level.INFO
    assert machine.finding("prices").observed == "priced by the model that answered: team-default as claude-sonnet-4-5"


def _npm(folder: Path, version: str) -> Path:
    package = folder / "node_modules" / "@anthropic-ai" / "claude-code"
    (package / "bin").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "@anthropic-ai/claude-code", "version": version}))
    return package / "bin" / "claude.exe"


def _native(folder: Path, version: str) -> Path:
    (folder / "versions").mkdir()
    return folder / "versions" / version


@pytest.mark.parametrize("layout", [_npm, _native])
@pytest.mark.parametrize(
    ("version", "level"),
    [("2.1.100", Level.FAIL), ("2.1.101", Level.WARN), ("2.1.149", Level.WARN), ("2.1.150", Level.OK), ("3.0.0", Level.OK)],
)  # fmt: skip
def test_the_version_of_the_client_on_path_is_checked(
    machine: Machine, layout: Callable[[Path, str], Path], version: str, level: Level
) -> None:
    client = layout(machine.root, version)
    client.write_text("")
    client.chmod(0o755)
    (machine.root / "bin").mkdir()
    (machine.root / "bin" / "claude").symlink_to(client)
    machine.environ["PATH"] = f"{machine.root / 'bin'}:{os.environ['PATH']}"
    finding = machine.finding("claude")
    assert (finding.level, f"Claude Code {version}" in finding.observed) == (level, True)
    assert bool(finding.remedy) is (level is not Level.OK)


@pytest.mark.parametrize("client", ["claude-code/2.1.120/harness", "claude-code_2-1-149_agent"])
def test_a_client_in_use_that_is_older_than_the_oldest_supported_one_is_a_warning(
    machine: Machine, client: str
) -> None:
    core = machine.core()
    start = {"transcript_path": "/none.jsonl", "cwd": "/", "hook_event_name": "SessionStart", "source": "startup"}
    for session_id, header in (("old", client), ("new", "claude-code_2-1-330_harness")):
        payload = json.dumps({"session_id": session_id, **start}).encode()
        Spool(machine.home.spool).write("SessionStart", {"client": header}, payload)
    core.intake.take_events()
    core.store.close()
    version = client[12:19].replace("-", ".")
    assert machine.finding("client version").level is Level.WARN
    assert machine.finding("client version").observed == (
        f"sessions of Claude Code {version}: their figures may lack something"
    )


def test_the_oldest_supported_client_is_no_complaint(machine: Machine) -> None:
    core = machine.core()
    seen = {"first_seen_ns": time.time_ns(), "last_seen_ns": time.time_ns()}
    long_ago = {"first_seen_ns": 0, "last_seen_ns": 0}
    oldest = ".".join(map(str, registration.OLDEST_CLIENT))
    with core.store.transaction():
        core.facts.upsert(
            model.Session(session_id="a", client_version=oldest, **seen),
            model.Session(session_id="b", client_version="2.0.1", **long_ago),
        )
    core.store.close()
    assert "client version" not in machine.complaints


@pytest.mark.parametrize(("reason", "level"), [(Damage.CUT, Level.WARN), (Damage.ENCODING, Level.INFO)])
def test_damaged_transcripts_are_a_warning_only_if_a_record_is_lost(
    machine: Machine, reason: Damage, level: Level
) -> None:
    core = machine.core()
    with core.store.transaction():
        core.totals.add(catalog.TRANSCRIPT_DAMAGE, (("reason", reason),), 3)
    core.store.close()
    assert machine.finding("transcripts").level is level
    assert f"3 {reason}" in machine.finding("transcripts").observed


def test_a_store_that_is_no_database_is_a_failure(machine: Machine) -> None:
    machine.home.store.write_text("not a database, by far, whatever its name may say" * 50)
    assert machine.finding("store").level is Level.FAIL


def test_a_store_of_a_newer_version_is_a_failure(machine: Machine) -> None:
    core = machine.core()
    with core.store.transaction():
        core.store.set_meta("schema_version", str(SCHEMA_VERSION + 1))
    core.store.close()
    assert "newer version" in machine.finding("store").observed


# -- export ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_endpoint_gets_an_empty_request(machine: Machine, otlp_receiver: OtlpReceiver, protocol: str) -> None:
    endpoint = otlp_receiver.grpc_endpoint if protocol == "grpc" else otlp_receiver.http_endpoint
    machine.install("--endpoint", endpoint, "--protocol", protocol)
    assert machine.finding("export otlp metrics").level is Level.OK, machine.finding("export otlp metrics")
    assert "accepted an empty request" in machine.finding("export otlp metrics").observed
    assert otlp_receiver.messages("metrics")
    assert otlp_receiver.metrics == []


def test_a_refusal_of_the_endpoint_is_a_failure_with_its_reason(machine: Machine, otlp_receiver: OtlpReceiver) -> None:
    otlp_receiver.http.fail_with(401)
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    assert (machine.finding("export otlp metrics").level, "401" in machine.finding("export otlp metrics").observed) == (
        Level.FAIL,
        True,
    )


def test_a_header_is_never_shown(
    machine: Machine, otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret-value")
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    assert "s3cret-value" not in repr(machine.findings)


def test_the_last_failed_export_of_the_daemon_is_a_warning_even_if_the_endpoint_answers(
    machine: Machine, otlp_receiver: OtlpReceiver
) -> None:
    machine.install("--endpoint", otlp_receiver.http_endpoint, "--protocol", "http/protobuf")
    core = machine.core()
    with core.store.transaction():
        configure(core.store.connection, [ExporterState("metrics", "otlp", error="it was away")])
    core.store.close()
    assert (
        machine.finding("export otlp metrics").level,
        "it was away" in machine.finding("export otlp metrics").observed,
    ) == (
        Level.WARN,
        True,
    )


def test_variables_that_only_this_shell_has_are_a_warning(machine: Machine) -> None:
    machine.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://nobody:4318"
    assert machine.finding("variables").level is Level.WARN
    assert machine.finding("export").level is Level.INFO, (
        "the daemon does not have the variable, so it sends nothing there"
    )


def test_an_unknown_exporter_is_a_failure(machine: Machine) -> None:
    machine.home.config.write_text('[otel]\nOTEL_METRICS_EXPORTER = "pigeon"\n')
    found = machine.finding("export metrics")
    assert (found.level, "pigeon" in found.observed) == (Level.FAIL, True)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_each_signal_gets_its_own_request(machine: Machine, otlp_receiver: OtlpReceiver, protocol: str) -> None:
    endpoint = otlp_receiver.grpc_endpoint if protocol == "grpc" else otlp_receiver.http_endpoint
    machine.install("--endpoint", endpoint, "--protocol", protocol)
    for signal in Signal:
        found = machine.finding(f"export otlp {signal}")
        assert (found.level, "accepted an empty request" in found.observed) == (Level.OK, True), found
        assert otlp_receiver.messages(signal.value)


def test_a_mistake_in_one_signal_hides_no_other_signal(machine: Machine, otlp_receiver: OtlpReceiver) -> None:
    machine.home.config.write_text(
        f'[otel]\nOTEL_EXPORTER_OTLP_ENDPOINT = "{otlp_receiver.grpc_endpoint}"\n'
        'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = "http/json"\n'
    )
    mistake = machine.finding("export traces")
    assert mistake.level is Level.FAIL
    assert "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json is not supported" in mistake.observed
    assert machine.finding("export otlp metrics").level is machine.finding("export otlp logs").level is Level.OK


@pytest.mark.parametrize(
    ("status", "wanted", "level"), [(404, "", Level.INFO), (404, "otlp", Level.FAIL), (401, "", Level.FAIL)]
)
def test_an_endpoint_may_lack_a_signal_that_is_not_configured(
    machine: Machine, otlp_receiver: OtlpReceiver, status: int, wanted: str, level: Level
) -> None:
    """An endpoint that rejects our credentials is a failure for every signal."""
    otlp_receiver.http.fail_with(status)
    machine.home.config.write_text(
        f'[otel]\nOTEL_EXPORTER_OTLP_ENDPOINT = "{otlp_receiver.http_endpoint}"\n'
        f'OTEL_EXPORTER_OTLP_PROTOCOL = "http/protobuf"\nOTEL_LOGS_EXPORTER = "{wanted}"\n'
    )
    found = machine.finding("export otlp logs")
    assert (found.level, str(status) in found.observed) == (level, True), found


def test_an_unknown_sampler_is_a_warning(machine: Machine) -> None:
    machine.home.config.write_text('[otel]\nOTEL_TRACES_SAMPLER = "sometimes"\n')
    found = machine.finding("otel variables")
    assert (found.level, "sometimes" in found.observed) == (Level.WARN, True)


# -- the command -------------------------------------------------------------------------------------------------------------


def test_the_exit_code_says_whether_a_step_is_broken(machine: Machine) -> None:
    healthy = CliRunner().invoke(make_app(), ["doctor"])
    assert (healthy.exit_code, "all 19 events" in healthy.output) == (0, True)
    machine.home.emit.unlink()
    broken = CliRunner().invoke(make_app(), ["doctor", "--json"])
    report = json.loads(broken.stdout)
    assert (broken.exit_code, report["ok"]) == (1, False)
    assert {"step", "level", "observed", "remedy"} == set(report["findings"][0])
    assert "hook file" in [finding["step"] for finding in report["findings"] if finding["level"] == "fail"]


def test_a_check_that_raises_is_a_failure_and_the_others_still_run(uninstalled: Machine) -> None:
    def broken_check(_: Surroundings) -> Iterator[Finding]:
        raise ZeroDivisionError("oops")
        yield

    def other(_: Surroundings) -> Iterator[Finding]:
        yield Finding("other", Level.OK, "fine")

    findings = list(run_checks([broken_check, other], Surroundings(uninstalled.environ, uninstalled.project)))
    assert [(finding.step, finding.level) for finding in findings] == [
        ("broken check", Level.FAIL),
        ("other", Level.OK),
    ]
    assert "oops" in findings[0].observed
