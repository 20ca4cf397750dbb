"""``install`` and ``uninstall`` change only their own part of a settings file and a home."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from claude_hooks_otel.home.lock import DaemonLock, is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.home_files import emit_path
from claude_hooks_otel.installation.hook_entries import register, registered_commands, unregister
from claude_hooks_otel.installation.json_text import JsonText, JsonTextError
from claude_hooks_otel.installation.purge import purge
from claude_hooks_otel.installation.settings_file import Scope, path_of
from claude_hooks_otel.settings import Signal, load
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.spool import Spool
from tests.support import hostile_files as files
from tests.support.places import ROOT

FOREIGN_HOOK = {"type": "command", "command": "notify-send done"}
Cli = Callable[..., Result]


@pytest.fixture
def user_settings(tmp_path: Path) -> Path:
    (tmp_path / ".claude").mkdir()
    return tmp_path / ".claude" / "settings.json"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".local" / "state" / "claude-hooks-otel")


def backups(file: Path) -> list[Path]:
    return sorted(file.parent.glob("*.bak"))


def commands(file: Path) -> dict[str, list[str]]:
    return registered_commands(json.loads(file.read_text())["hooks"])


EVERYTHING = {event: [registration.command(event, registration.SETTINGS_EMIT)] for event in registration.REGISTERED}

# -- what install writes -----------------------------------------------------------------------------------------------------


def test_without_a_settings_file_install_writes_the_example(cli: Cli, tmp_path: Path) -> None:
    cli("install", "--agent", "backend", "--project", "my-project")
    assert (tmp_path / ".claude" / "settings.json").read_text() == (ROOT / "settings.example.json").read_text()


def test_install_registers_every_event_of_the_table_and_no_other(cli: Cli, user_settings: Path) -> None:
    cli("install")
    assert commands(user_settings) == EVERYTHING


@pytest.mark.parametrize(
    ("scope", "file"),
    [
        ("user", ".claude/settings.json"),
        ("project", "project/.claude/settings.json"),
        ("local", "project/.claude/settings.local.json"),
    ],
)
def test_a_scope_selects_the_file_that_the_client_reads(cli: Cli, tmp_path: Path, scope: str, file: str) -> None:
    cli("install", "--scope", scope)
    assert commands(tmp_path / file) == EVERYTHING
    assert list(tmp_path.rglob("settings*.json")) == [tmp_path / file]


def test_claude_config_dir_moves_the_user_scope() -> None:
    environ = {"HOME": "/home/ann", "CLAUDE_CONFIG_DIR": "/elsewhere"}
    assert path_of(Scope.USER, environ, Path("/p")) == Path("/elsewhere/settings.json")
    assert path_of(Scope.PROJECT, environ, Path("/p")) == Path("/p/.claude/settings.json")


@pytest.mark.parametrize("command", ["install", "uninstall"])
@pytest.mark.parametrize("make", [files.fifo, files.unix_socket, files.device, files.folder, files.circle, files.huge])
def test_only_a_regular_settings_file_is_changed(
    cli: Cli, tmp_path: Path, make: Callable[[Path], None], command: str
) -> None:
    """A device is not replaced by a file, also if a link leads to it, and nothing waits for the writer of a FIFO."""
    node, link = tmp_path / "node", tmp_path / "link.json"
    try:
        make(node)
    except PermissionError as error:
        pytest.skip(f"this user cannot make it: {error}")
    link.symlink_to(node)
    before = node.lstat()
    for path in (node, link):
        refused = cli(command, "--settings", str(path), code=1)
        assert str(path) in " ".join(refused.stderr.split()).replace(" ", "")
    assert tuple(node.lstat())[:7] == tuple(before)[:7]  # all but the times
    assert link.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"node", "link.json", "project"}


def test_a_linked_settings_file_stays_a_link(cli: Cli, tmp_path: Path) -> None:
    """People keep it in a folder of dotfiles, under any name."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "dotfiles" / "claude")
    for _ in range(2):
        cli("install", "--settings", str(tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert commands(tmp_path / "dotfiles" / "claude") == EVERYTHING


def test_an_option_names_another_settings_file(cli: Cli, tmp_path: Path) -> None:
    cli("install", "--settings", str(tmp_path / "deep" / "own.json"))
    assert commands(tmp_path / "deep" / "own.json") == EVERYTHING


def test_the_home_gets_what_a_hook_needs_and_only_its_owner_can_read_it(cli: Cli, home: Home) -> None:
    cli("install", "--endpoint", "http://localhost:4318")
    assert home.interpreter.read_text() == f"{sys.executable}\n"
    assert home.emit.read_bytes() == emit_path().read_bytes()
    for path in (home.interpreter, home.emit, home.config, home.installations):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_endpoint_protocol_and_exporter_go_into_the_configuration(cli: Cli, home: Home) -> None:
    cli("install", "--endpoint", "http://collector:4318", "--protocol", "http/protobuf", "--exporter", "otlp")
    assert load(home.config, {}).otel == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "otlp",
    }


def test_otel_variables_are_copied_to_the_configuration_and_named_without_values(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer-s3cret")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "agents")
    monkeypatch.setenv("OTEL_LOG_USER_PROMPTS", "1")
    output = cli("install").output
    assert load(home.config, {}).otel == {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer-s3cret",
        "OTEL_SERVICE_NAME": "agents",
    }
    assert "OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME" in output
    assert "s3cret" not in output


def test_the_variables_of_every_signal_are_copied(cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claude Code's own telemetry uses the same names. Its switches for content are not copied."""
    wanted = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp,console",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4317",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    }
    for name, value in {**wanted, "OTEL_LOG_TOOL_DETAILS": "1"}.items():
        monkeypatch.setenv(name, value)
    output = cli("install").output
    assert load(home.config, {}).otel == wanted
    assert ", ".join(sorted(wanted)) in output
    assert "No endpoint is configured" not in output


@pytest.mark.parametrize("exporter", ["OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER"])
def test_an_unknown_exporter_of_any_signal_is_refused_before_anything_is_written(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch, exporter: str
) -> None:
    monkeypatch.setenv(exporter, "carrier-pigeon")
    assert f"{exporter}=carrier-pigeon" in cli("install", code=1).stderr
    assert not home.root.exists()


def test_an_option_wins_over_the_general_and_the_signal_variable(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317")
    for signal in Signal:
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "http://special:4317")
    output = cli("install", "--endpoint", "http://mine:4317").output
    assert load(home.config, {}).otel == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4317"}
    for signal in Signal:
        assert f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT would overrule" in output


def test_other_keys_of_a_configuration_stay(cli: Cli, home: Home) -> None:
    home.create()
    home.config.write_text('[identity]\nteam = "core"\n[otel]\nOTEL_SERVICE_NAME = "mine"\n')
    cli("install", "--endpoint", "http://x:4317")
    config = load(home.config, {})
    assert (config.identity.team, config.otel["OTEL_SERVICE_NAME"]) == ("core", "mine")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--exporter", "carrier-pigeon"),
        ("--endpoint", "http://x:4317", "--protocol", "http/json"),
        ("--agent", "  "),
    ],
)
def test_an_invalid_option_is_refused_before_anything_is_written(
    cli: Cli, user_settings: Path, home: Home, arguments: tuple[str, ...]
) -> None:
    user_settings.write_text("{}")
    cli("install", *arguments, code=2 if arguments[0] == "--agent" else 1)
    assert user_settings.read_text() == "{}"
    assert not home.root.exists()


def test_an_invalid_configuration_is_refused_before_anything_is_written(
    cli: Cli, user_settings: Path, home: Home
) -> None:
    home.create()
    home.config.write_text("[otel\n")
    assert "not TOML" in cli("install", code=1).stderr
    assert not user_settings.exists()


def test_the_settings_name_a_home_from_the_environment(
    cli: Cli, user_settings: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path / "other home"))
    cli("install")
    assert json.loads(user_settings.read_text())["env"] == {"CLAUDE_HOOKS_OTEL_HOME": str(tmp_path / "other home")}
    assert home.emit.is_file()
    assert home.others.read_text() == f"{tmp_path}/other home\n"
    assert Home(tmp_path / "other home").is_trusted({"HOME": str(tmp_path)})


def test_a_home_named_in_the_settings_is_found_without_the_variable(
    cli: Cli, user_settings: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path / "other"))
    cli("install")
    monkeypatch.delenv("CLAUDE_HOOKS_OTEL_HOME")
    cli("install", "--endpoint", "http://x:4317")
    assert load(Home(tmp_path / "other").config, {}).otel == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317"}
    assert sorted(path.name for path in home.root.iterdir()) == ["emit", "homes"]
    cli("uninstall", "--purge")
    assert not user_settings.exists()
    assert not home.root.exists()


def test_the_settings_name_a_home_from_xdg_state_home(
    cli: Cli, user_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cli("install")
    assert json.loads(user_settings.read_text())["env"] == {
        "CLAUDE_HOOKS_OTEL_HOME": f"{tmp_path}/state/claude-hooks-otel"
    }


def test_project_settings_never_name_a_path_of_this_machine(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path / "other"))
    output = cli("install", "--scope", "project", "--agent", "a").output
    text = (tmp_path / "project" / ".claude" / "settings.json").read_text()
    assert str(tmp_path) not in text
    assert "Set CLAUDE_HOOKS_OTEL_HOME wherever Claude Code is started" in output


def test_with_the_plugin_install_registers_no_hooks(cli: Cli, user_settings: Path, home: Home) -> None:
    cli("install")
    cli("install", "--plugin", "--agent", "backend", "--endpoint", "http://x:4317")
    assert json.loads(user_settings.read_text()) == {"env": {"CLAUDE_AGENT_ID": "backend"}}
    assert home.interpreter.is_file()
    assert load(home.config, {}).otel == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317"}


def test_with_the_plugin_install_makes_no_settings_file(cli: Cli, user_settings: Path, home: Home) -> None:
    cli("install", "--plugin")
    assert not user_settings.exists()
    assert home.interpreter.is_file()
    assert not home.emit.exists()


# -- light registration ---------------------------------------------------------------------------------------------------------

LIGHT = {
    event: [registration.command(event, registration.SETTINGS_EMIT, Registration.LIGHT)]
    for event in registration.events_of(Registration.LIGHT)
}


def test_light_registration_has_no_hook_for_tool_calls(cli: Cli, user_settings: Path) -> None:
    cli("install", "--events", "light")
    assert commands(user_settings) == LIGHT
    assert not LIGHT.keys() & {"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"}


def test_another_run_keeps_the_registration_until_an_option_changes_it(cli: Cli, user_settings: Path) -> None:
    cli("install", "--events", "light")
    cli("install", "--agent", "backend")
    assert commands(user_settings) == LIGHT
    cli("install", "--events", "full")
    assert commands(user_settings) == EVERYTHING
    cli("install")
    assert commands(user_settings) == EVERYTHING


def test_an_upgrade_keeps_light_registration(cli: Cli, user_settings: Path) -> None:
    """The new version has another command and does not register one of the old events."""
    cli("install", "--events", "light")
    text = user_settings.read_text().replace(".local/state/claude-hooks-otel/emit", "old/emit")
    old = json.loads(text)
    old["hooks"]["PostToolBatch"] = old["hooks"]["Stop"]
    user_settings.write_text(json.dumps(old))
    cli("install")
    assert commands(user_settings) == LIGHT


@pytest.mark.parametrize("order", [("full", "light"), ("light", "full"), ("full", "light", "full")])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"hooks": {"PostToolUse": [], "Stop": []}}',
        '{\n  "hooks": {\n    "PostToolUse": [\n      {"matcher": "Bash", "hooks": [{"type": "command", "command": "a"}]}\n    ]\n  }\n}\n',
    ],
)
def test_uninstall_restores_the_file_after_changes_of_the_registration(
    cli: Cli, user_settings: Path, text: str, order: tuple[str, ...]
) -> None:
    user_settings.write_text(text)
    for events in order:
        cli("install", "--events", events)
    if order[-1] == "light":
        assert commands(user_settings) == LIGHT
        assert ("PostToolUse" in json.loads(user_settings.read_text())["hooks"]) == ("PostToolUse" in text)
    cli("uninstall")
    assert user_settings.read_text() == text
    assert not backups(user_settings)


def test_a_dry_run_names_the_hooks_that_light_registration_removes(cli: Cli, user_settings: Path) -> None:
    cli("install")
    before = user_settings.read_text()
    lines = cli("install", "--events", "light", "--dry-run").output.splitlines()
    full_only = [event for event in registration.REGISTERED if event in registration.FULL_ONLY]
    assert f"- hooks for {len(full_only)} events: {', '.join(full_only)}" in lines
    assert any(line.startswith("~ hooks for ") and "light registration" in line for line in lines)
    assert user_settings.read_text() == before


def test_the_plugin_cannot_be_light(cli: Cli, home: Home) -> None:
    result = cli("install", "--plugin", "--events", "light", code=2)
    assert "The plugin registers every event." in " ".join(result.stderr.replace("│", " ").split())
    assert not home.root.exists()


# -- what install and uninstall keep -----------------------------------------------------------------------------------------


def test_a_second_run_without_an_endpoint_changes_nothing(cli: Cli) -> None:
    cli("install")
    assert "in place already" in cli("install").output


def test_uninstall_does_not_claim_to_delete_a_home_that_is_missing(cli: Cli) -> None:
    assert "Deleted" not in cli("uninstall", "--purge").output


def test_a_second_run_changes_nothing_and_makes_no_backup(cli: Cli, user_settings: Path, home: Home) -> None:
    user_settings.write_text('{"model": "opus"}')
    arguments = ("install", "--agent", "backend", "--endpoint", "http://x:4317")
    cli(*arguments)
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (user_settings, home.config, home.emit, home.interpreter)
    }
    assert "in place already" in cli(*arguments).output
    cli("install")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert len(backups(user_settings)) == 1


def test_a_dry_run_shows_the_difference_and_writes_nothing(cli: Cli, user_settings: Path, home: Home) -> None:
    user_settings.write_text('{\n  "model": "opus"\n}\n')
    output = cli("install", "--agent", "backend", "--dry-run").output
    assert '+ env.CLAUDE_AGENT_ID = "backend"' in output.splitlines()
    assert output.count("trap") == 1  # the command of one event stands for all
    assert user_settings.read_text() == '{\n  "model": "opus"\n}\n'
    assert not home.root.exists()
    assert not backups(user_settings)


def test_the_backup_has_the_content_and_mode_of_the_old_file(cli: Cli, user_settings: Path) -> None:
    user_settings.write_text('{"model": "opus"}')
    user_settings.chmod(0o640)
    cli("install")
    [backup] = backups(user_settings)
    assert backup.read_text() == '{"model": "opus"}'
    assert [stat.S_IMODE(path.stat().st_mode) for path in (backup, user_settings)] == [0o640, 0o640]


def test_a_symbolic_link_stays_a_link(cli: Cli, user_settings: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}\n")
    user_settings.symlink_to(real)
    cli("install")
    assert user_settings.is_symlink()
    assert commands(real) == EVERYTHING


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"hooks": {', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'// no\n{"a": 1}', "line 1, column 1"),
        (b"[]", "JSON object"),
        (b'"text"', "JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"hooks": []}', "hooks has to be an object"),
        (b'{"hooks": null}', "hooks has to be an object"),
        (b'{"hooks": {"Stop": {}}}', "hooks.Stop has to be a list"),
        (b'{"hooks": {"Stop": [{"command": "x"}]}}', "hooks.Stop[0]"),
        (b'{"env": "x"}', "env has to be an object"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_invalid_settings_file_is_refused_and_not_changed(
    cli: Cli, user_settings: Path, home: Home, content: bytes, complaint: str, command: str
) -> None:
    user_settings.write_bytes(content)
    error = " ".join(cli(command, code=1).stderr.split())
    assert complaint in error
    assert user_settings.read_bytes() == content
    assert list(user_settings.parent.iterdir()) == [user_settings]
    assert not home.root.exists()


def test_an_empty_file_counts_as_empty_settings(cli: Cli, user_settings: Path) -> None:
    user_settings.write_text("\n")
    cli("install")
    assert commands(user_settings) == EVERYTHING


def test_other_hooks_stay_in_their_place(cli: Cli, user_settings: Path) -> None:
    theirs = {"Stop": [{"hooks": [FOREIGN_HOOK]}], "PreToolUse": [{"matcher": "Bash", "hooks": [FOREIGN_HOOK]}]}
    user_settings.write_text(json.dumps({"hooks": theirs}))
    cli("install")
    hooks = json.loads(user_settings.read_text())["hooks"]
    assert hooks["Stop"][0] == theirs["Stop"][0]
    assert hooks["PreToolUse"] == theirs["PreToolUse"]
    assert commands(user_settings) == EVERYTHING


def test_our_older_entries_are_replaced(cli: Cli, user_settings: Path) -> None:
    def old(event: str) -> dict[str, Any]:
        return {"type": "command", "command": f'trap "exit 0" 0; event={event}; . /old/venv/hooks/emit 2>/dev/null'}

    user_settings.write_text(
        json.dumps(
            {
                "hooks": {
                    "Stop": [
                        {"hooks": [old("Stop")]},
                        {"hooks": [FOREIGN_HOOK, old("Stop")]},
                        {"hooks": [old("Stop")]},
                    ],
                    "PostToolUse": [{"matcher": "Bash", "hooks": [old("PostToolUse"), FOREIGN_HOOK]}],
                    "PostToolBatch": [{"hooks": [old("PostToolBatch")]}],
                }
            }
        )
    )
    cli("install")
    hooks = json.loads(user_settings.read_text())["hooks"]
    assert commands(user_settings) == EVERYTHING
    assert hooks["Stop"] == [*registration.settings_hooks()["Stop"], {"hooks": [FOREIGN_HOOK]}]
    assert hooks["PostToolUse"][0] == {"matcher": "Bash", "hooks": [FOREIGN_HOOK]}
    assert "PostToolBatch" not in hooks


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{}\n",
        '{"a": 1}',
        '{\n\t"z": [1,2,\t3],\n\t"a": "\\u00e9 é 😀"\n}',
        '{\r\n    "permissions": {"allow": ["Bash(ls)"]},\r\n    "x": 1.50\r\n}\r\n',
        '\ufeff{\n  "a": {}\n}\n\n',
        '{\n "hooks": {"Stop": [ {"hooks": []} ]},\n "env": {"A":"1"}\n}',
        '{"hooks": {}, "env": {}}',
        '{"hooks": {"Stop": []}}',
    ],
)
def test_uninstall_restores_the_file_byte_for_byte(cli: Cli, user_settings: Path, text: str) -> None:
    user_settings.write_bytes(text.encode())
    cli("install", "--agent", "backend")
    assert user_settings.read_bytes() != text.encode()
    cli("uninstall")
    assert user_settings.read_bytes() == text.encode()


def test_uninstall_deletes_a_file_that_install_made(cli: Cli, user_settings: Path) -> None:
    cli("install", "--agent", "backend")
    cli("uninstall")
    assert not user_settings.exists()


def test_uninstall_keeps_later_changes_of_the_file(cli: Cli, user_settings: Path) -> None:
    user_settings.write_text('{"env": {"CLAUDE_AGENT_ID": "mine", "OTHER": "x"}}')
    cli("install", "--agent", "backend", "--team", "core", "--sprint", "12")
    edited = json.loads(user_settings.read_text())
    edited["env"]["CLAUDE_AGENT_TEAM"] = "changed by hand"
    edited["hooks"]["Stop"].insert(0, {"hooks": [FOREIGN_HOOK]})
    edited["model"] = "opus"
    user_settings.write_text(json.dumps(edited, indent=4))
    cli("uninstall")
    assert json.loads(user_settings.read_text()) == {
        "env": {"CLAUDE_AGENT_ID": "mine", "OTHER": "x", "CLAUDE_AGENT_TEAM": "changed by hand"},
        "hooks": {"Stop": [{"hooks": [FOREIGN_HOOK]}]},
        "model": "opus",
    }


def test_uninstall_restores_the_value_before_the_first_of_several_installs(cli: Cli, user_settings: Path) -> None:
    user_settings.write_text('{"env": {"CLAUDE_AGENT_ID": "mine"}}')
    for agent in ("one", "two", "two"):
        cli("install", "--agent", agent)
    assert json.loads(user_settings.read_text())["env"] == {"CLAUDE_AGENT_ID": "two"}
    cli("uninstall")
    assert user_settings.read_text() == '{"env": {"CLAUDE_AGENT_ID": "mine"}}'


def test_uninstall_without_anything_installed_says_so_and_changes_nothing(
    cli: Cli, user_settings: Path, home: Home
) -> None:
    user_settings.write_text('{"a": 1}')
    assert "Nothing of ours" in cli("uninstall").output
    assert user_settings.read_text() == '{"a": 1}'
    assert not home.root.exists()
    assert not backups(user_settings)


def test_uninstall_keeps_captured_events(cli: Cli, user_settings: Path, home: Home) -> None:
    cli("install")
    Spool(home.spool).write("Stop", {}, b"{}")
    cli("uninstall")
    assert Spool(home.spool).depth() == 1


def test_purge_deletes_the_home(cli: Cli, user_settings: Path, home: Home) -> None:
    cli("install", "--endpoint", "http://x:4317")
    (home.root / "store.db-wal").touch()
    (home.root / "daemon.log.1").touch()
    cli("uninstall", "--purge")
    assert not home.root.exists()
    assert home.root.parent.is_dir()


def test_purge_refuses_a_folder_that_is_not_ours(
    cli: Cli, user_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(folder))
    assert "not a home of claude-hooks-otel" in " ".join(cli("uninstall", "--purge", code=1).stderr.split())
    cli("install")
    (folder / "thesis.odt").write_text("years of work")
    assert "thesis.odt" in cli("uninstall", "--purge", code=1).stderr
    assert (folder / "thesis.odt").exists()
    assert (folder / "spool").is_dir()


def test_purge_is_refused_while_a_settings_file_still_has_our_hooks(cli: Cli, user_settings: Path, home: Home) -> None:
    cli("install")
    cli("install", "--scope", "local")
    assert str(user_settings) in "".join(cli("uninstall", "--scope", "local", "--purge", code=1).stderr.split())
    cli("uninstall")
    cli("uninstall", "--scope", "local", "--purge")
    assert not home.root.exists()


def test_purge_ends_the_daemon_before_it_deletes_the_home(home: Home) -> None:
    """A running daemon would make the folder again."""
    home.create()
    release, ready = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        import signal

        signal.signal(signal.SIGTERM, lambda *_: os.write(release[1], b"x"))
        lock = DaemonLock.acquire(home)
        os.write(ready[1], b"x")
        os.read(release[0], 1)
        lock.release()
        os._exit(0)
    os.read(ready[0], 1)
    assert is_running(home)
    purge(home)
    assert os.waitpid(child, 0)[1] == 0
    assert not home.root.exists()


# -- messages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ({"disableAllHooks": True}, "disableAllHooks is set"),
        ({"enabledPlugins": {"hooks-otel@market": True}}, "Each event counts once"),
        ({"env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}}, "which hooks never see"),
    ],
)
def test_settings_that_affect_the_hooks_are_named(
    cli: Cli, user_settings: Path, content: dict[str, Any], note: str
) -> None:
    user_settings.write_text(json.dumps(content))
    assert note in cli("install").output


def test_install_says_that_a_name_has_another_spelling_in_metrics(cli: Cli, user_settings: Path) -> None:
    assert "label 'back-end'" in cli("install", "--agent", "Back End").output
    assert json.loads(user_settings.read_text())["env"] == {"CLAUDE_AGENT_ID": "Back End"}


def test_install_names_the_next_step(cli: Cli) -> None:
    output = cli("install").output
    assert "Restart the sessions that are running" in output
    assert "Everything is in the embedded store" in output
    assert "Everything is in the embedded store" not in cli("install", "--endpoint", "http://x:4317").output


def test_a_home_that_cannot_be_made_is_an_error_and_the_settings_do_not_change(
    cli: Cli, user_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path / "file" / "home"))
    cli("install", code=1)
    assert not user_settings.exists()


# -- the text editor ---------------------------------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(names, values, max_size=4)
groups = st.lists(st.just({"hooks": [FOREIGN_HOOK]}) | st.just({"matcher": "Bash", "hooks": []}), max_size=2)
hooks_objects = st.dictionaries(st.sampled_from(["Stop", "PostToolUse", "PreToolUse"]), groups, max_size=2)
indents = st.sampled_from([None, 0, 1, 2, 4, "\t"])


@given(documents, names, values, indents, st.booleans())
def test_setting_a_member_changes_only_that_member(
    document: dict[str, Any], name: str, value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = JsonText(json.dumps(document, indent=indent, ensure_ascii=ascii_only))
    text.set([name], value)
    assert json.loads(str(text)) == document | {name: value}


@given(documents, names, values, indents)
def test_removing_an_added_member_restores_the_text(
    document: dict[str, Any], name: str, value: Any, indent: int | str | None
) -> None:
    document.pop(name, None)
    before = json.dumps(document, indent=indent)
    text = JsonText(before)
    text.set([name], value)
    text.remove([name])
    assert str(text) == before


@given(documents, indents)
def test_removing_a_member_keeps_the_others(document: dict[str, Any], indent: int | str | None) -> None:
    text = JsonText(json.dumps(document, indent=indent))
    while document:
        name = next(iter(document))
        del document[name]
        text.remove([name])
        assert json.loads(str(text)) == document


@given(documents, hooks_objects, indents)
def test_registering_and_unregistering_keeps_all_other_hooks(
    document: dict[str, Any], hooks: dict[str, Any], indent: int | str | None
) -> None:
    document["hooks"] = hooks
    text = JsonText(json.dumps(document, indent=indent))
    register(text)
    once = str(text)
    register(text)
    assert str(text) == once
    assert registered_commands(text.get(["hooks"])) == EVERYTHING
    assert unregister(text) == len(registration.REGISTERED)
    left = json.loads(str(text))
    assert {event: groups for event, groups in left.pop("hooks").items() if groups or event in hooks} == hooks
    document.pop("hooks")
    assert left == document


def test_the_last_of_two_members_with_one_name_counts() -> None:
    text = JsonText('{"a": 1, "a": 2}')
    text.set(["a"], 3)
    assert str(text) == '{"a": 1, "a": 3}'


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "{'a': 1}", '{"a": 1,}', "nul", '{"a": Infinity}'])
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(JsonTextError):
        JsonText(text)


# -- whose settings count ------------------------------------------------------------------------------------------------------


def test_a_new_endpoint_does_not_get_the_headers_of_the_previous_one(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    cli("install", "--endpoint", "http://a:4318")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS")
    output = cli("install", "--endpoint", "http://b:4318").output
    assert load(home.config, {}).otel == {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}
    assert "OTEL_EXPORTER_OTLP_HEADERS belongs to the previous endpoint and is left out." in output
    assert "secret" not in output


def test_install_takes_over_variables_for_proxies_and_certificates(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that a hook starts has no other environment."""
    given = {
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "PGPASSWORD": "x",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    output = cli("install").output
    assert load(home.config, {}).environment == {name: given[name] for name in given if name != "PGPASSWORD"}
    assert "NO_PROXY, SSL_CERT_FILE, https_proxy" in output


def test_the_home_that_a_cloned_project_names_is_not_used(cli: Cli, home: Home, tmp_path: Path) -> None:
    planted = Home(tmp_path / "project" / "state")
    planted.create()
    planted.config.write_text('[otel]\nOTEL_EXPORTER_OTLP_ENDPOINT = "http://thief:4318"\n')
    settings = tmp_path / "project" / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"CLAUDE_HOOKS_OTEL_HOME": str(planted.root)}}))
    cli("install", "--scope", "project")
    assert home.interpreter.is_file()
    assert not planted.interpreter.exists()
    assert home.recorded() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
@pytest.mark.parametrize("command", ["status", "flush", "report", "install", "uninstall", "daemon"])
def test_a_command_refuses_the_home_of_another_user(cli: Cli, home: Home, command: str) -> None:
    home.create()
    for path in (home.root, *home.root.rglob("*")):
        os.chown(path, 65534, 65534)
    before = sorted(home.root.rglob("*"))
    message = " ".join(cli(command, code=1).stderr.split())
    assert "is the home of the user" in message
    assert "claude-hooks-otel …" in message
    assert sorted(home.root.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
@pytest.mark.parametrize("command", ["status", "flush", "report", "install"])
def test_files_of_another_user_in_the_home_are_named_with_their_repair(cli: Cli, home: Home, command: str) -> None:
    home.create()
    for path in (home.store, home.lock):
        path.touch()
        os.chown(path, 65534, 65534)
    message = " ".join(cli(command, code=1).stderr.split())
    assert "store.db belong to the user" in message
    assert f"sudo chown -R root {home.root}" in message
    assert "Nothing is lost" in message
