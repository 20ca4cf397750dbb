"""``install --statusline`` registers our status line, wraps one that is there, and ``uninstall`` puts it back byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.json_text import JsonText
from claude_hooks_otel.installation.status_line import Choice, command_of, is_ours, register, restore, wrapped_in

Cli = Callable[..., Result]
OURS = 'sh "$HOME/.local/state/claude-hooks-otel/statusline.sh"'


@pytest.fixture
def cli(cli: Cli, tmp_path: Path) -> Cli:
    """The account has a folder for Claude Code's settings."""
    (tmp_path / ".claude").mkdir()
    return cli


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / ".claude" / "settings.json"


def status_line(settings: Path) -> Any:
    return json.loads(settings.read_text()).get("statusLine")


def shown(tmp_path: Path, settings: Path) -> str:
    """Run what is registered, as the client does."""
    environ = {"HOME": str(tmp_path), "PATH": os.defpath, "NO_COLOR": "1"}
    content = b'{"session_id": "s", "model": {"display_name": "Opus 4.5"}}'
    done = subprocess.run(
        ["/bin/sh", "-c", status_line(settings)["command"]], input=content, env=environ, capture_output=True, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode()


def test_install_alone_registers_no_status_line(cli: Cli, settings: Path, tmp_path: Path) -> None:
    cli("install")
    assert status_line(settings) is None
    assert not Home(tmp_path / ".local/state/claude-hooks-otel").status_line.exists()


def test_the_registered_command_prints_a_line_and_names_no_machine_path(
    cli: Cli, settings: Path, tmp_path: Path
) -> None:
    cli("install", "--statusline", "--format", 'it\'s {model} "$HOME" `x` $(x)')
    value = status_line(settings)
    assert value["command"].startswith(f"{OURS} --format ")
    assert (value["type"], value["refreshInterval"]) == ("command", 30)
    assert str(tmp_path) not in value["command"]
    assert shown(tmp_path, settings) == 'it\'s Opus 4.5 "$HOME" `x` $(x)\n'


def test_the_line_that_was_there_is_shown_above_or_below(cli: Cli, settings: Path, tmp_path: Path) -> None:
    settings.write_text(json.dumps({"statusLine": {"type": "command", "command": 'echo "it\'s mine"', "padding": 2}}))
    cli("install", "--statusline", "--format", "{model}")
    assert status_line(settings) | {"command": ""} == {"type": "command", "command": "", "padding": 2}
    assert shown(tmp_path, settings) == "it's mine\nOpus 4.5\n"
    cli("install", "--statusline", "--format", "{model}", "--above")
    assert shown(tmp_path, settings) == "Opus 4.5\nit's mine\n"


TEXTS = [
    '{"statusLine": {"type":"command",  "command":"echo \\u0068i \\/ \\"x\\"" , "padding": 0}, "a": 1}\n',
    '{\n\t"a": 1,\n\t"statusLine": {"type": "command", "command": "x"}\n}',
    '{"statusLine": null, "b": [ ]}',
    '{"statusLine": "odd",\r\n "b": 1}',
    '{"statusLine": {"type": "command"}}',
    '\ufeff{ "theme" : "dark" }\n',
    "{}",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("undo", [("uninstall",), ("install", "--no-statusline")], ids=["uninstall", "no-statusline"])
def test_the_file_comes_back_byte_for_byte(cli: Cli, settings: Path, text: str, undo: tuple[str, ...]) -> None:
    settings.write_bytes(text.encode())
    if undo[0] == "install":
        cli("install")
        before = settings.read_bytes()
    else:
        before = text.encode()
    cli("install", "--statusline")
    cli("install", "--statusline", "--format", "{context}")
    assert is_ours(command_of(json.loads(settings.read_text(encoding="utf-8-sig"))))
    cli(*undo)
    assert settings.read_bytes() == before


@given(
    command=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    indent=st.sampled_from([None, 2, "\t"]),
)
def test_any_command_is_wrapped_and_comes_back(command: str, indent: Any) -> None:
    text = json.dumps({"x": [1], "statusLine": {"command": command, "type": "command"}}, indent=indent)
    document = JsonText(text)
    registered = register(document, Choice(wanted=True, format="{model}"), None)
    ours = command_of(document.value) or ""
    assert (is_ours(ours), wrapped_in(ours)) == (True, command)
    lost = JsonText(str(document))
    assert restore(document, registered)
    assert str(document) == text
    assert restore(lost, None)  # what install recorded is lost
    assert lost.value == json.loads(text)


def test_a_status_line_that_somebody_set_since_stays(cli: Cli, settings: Path) -> None:
    cli("install", "--statusline")
    theirs = {"type": "command", "command": "echo other"}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"statusLine": theirs}))
    cli("uninstall")
    assert status_line(settings) == theirs


def test_uninstall_says_that_the_status_line_is_as_it_was(cli: Cli) -> None:
    cli("install", "--statusline")
    assert "Put back as they were: statusLine" in cli("uninstall").output


def test_a_dry_run_shows_the_change_and_writes_nothing(cli: Cli, settings: Path) -> None:
    settings.write_text('{"statusLine": {"type": "command", "command": "echo hi"}}')
    text = cli("install", "--statusline", "--dry-run").output
    assert "- statusLine: echo hi" in text
    assert f"+ statusLine: {OURS} --wrap 'echo hi'" in text
    assert command_of(json.loads(settings.read_text())) == "echo hi"


def test_a_status_line_without_hooks_is_named_by_uninstall(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "project" / ".claude" / "settings.local.json"
    cli("install", "--plugin", "--scope", "local", "--statusline")
    cli("install")
    assert f"{other} still has entries of ours" in " ".join(cli("uninstall").output.split())
    cli("uninstall", "--all")
    assert not other.exists()


def test_with_the_plugin_only_the_status_line_is_registered(cli: Cli, settings: Path, tmp_path: Path) -> None:
    cli("install", "--plugin", "--statusline", "--format", "{model}")
    assert "hooks" not in json.loads(settings.read_text())
    assert shown(tmp_path, settings) == "Opus 4.5\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--statusline", "--format", "{cost}"), 2, "there is no field {cost}. The fields are model"),
        (("--statusline", "--format", "[{model}"), 2, "a bracket is not closed"),
        (("--format", "{model}"), 2, "--format and --above need --statusline"),
        (("--above",), 2, "--format and --above need --statusline"),
        (("--statusline", "--scope", "project"), 1, "replaces everybody's own"),
    ],
)
def test_options_that_make_no_sense_change_nothing(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = cli("install", *arguments, code=code)
    assert message in " ".join((result.output + result.stderr).replace("│", " ").split())
    assert not list(tmp_path.rglob("settings*.json"))
    assert not (tmp_path / ".local").exists()


def test_install_renews_the_launcher_of_an_older_installation(cli: Cli, tmp_path: Path) -> None:
    cli("install", "--statusline")
    launcher = Home(tmp_path / ".local/state/claude-hooks-otel").status_line
    current = launcher.read_bytes()
    launcher.write_text("exit 3")
    cli("install")
    assert launcher.read_bytes() == current


def test_a_wrapped_line_survives_the_package(cli: Cli, settings: Path, tmp_path: Path) -> None:
    settings.write_text('{"statusLine": {"type": "command", "command": "echo hi"}}')
    cli("install", "--statusline")
    launcher = Home(tmp_path / ".local/state/claude-hooks-otel").status_line
    launcher.write_text(launcher.read_text().replace("python=", "python=/gone"))
    assert shown(tmp_path, settings) == "hi\n"
