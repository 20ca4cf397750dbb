"""What people expect of any command line: help, versions, JSON, CSV, any width, any terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from claude_hooks_otel import __version__
from claude_hooks_otel.cli.app import COMMANDS, make_app
from claude_hooks_otel.cli.console import JSON_VERSION
from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import duration_text
from tests.cli.conftest import Account
from tests.support.places import ROOT

NAMES = [command.name or command.callback.__name__ for command in make_app().registered_commands if command.callback]
WIDTHS = (40, 60, 80, 120)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_an_example_and_no_boxes(account: Account, name: str, option: str) -> None:
    text = account.ok(name, option)
    assert f"Example: claude-hooks-otel {name}" in " ".join(text.split())
    assert not set(text) & set("│╭─╰")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_on_commands_names_every_option(account: Account, name: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |") and "`--" in line][:1]
    assert set(re.findall(r"  .*?(--[a-z-]+)", account.ok(name, "-h"))) - {"--help"} <= set(
        re.findall(r"--[a-z-]+", row)
    )


@pytest.mark.parametrize("arguments", [("-V",), ("--version",)])
def test_the_version_has_two_options(account: Account, arguments: tuple[str, ...]) -> None:
    assert account.ok(*arguments) == f"claude-hooks-otel {__version__}\n"


def test_python_m_runs_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "claude_hooks_otel", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout == f"claude-hooks-otel {__version__}\n"


def test_shell_completion_names_the_commands() -> None:
    environ = {"_CLAUDE_HOOKS_OTEL_COMPLETE": "complete_bash", "COMP_WORDS": "claude-hooks-otel ", "COMP_CWORD": "1"}
    done = CliRunner().invoke(make_app(), [], prog_name="claude-hooks-otel", env=environ)
    assert set(NAMES) <= set(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("install",),
        ("install", "--dry-run"),
        ("status",),
        ("doctor",),
        ("flush",),
        ("daemon", "--stop"),
        ("uninstall",),
    ],
    ids=" ".join,
)
def test_json_has_one_shape(account: Account, arguments: tuple[str, ...]) -> None:
    account.use()
    result = account.run(*arguments, "--json")
    printed = json.loads(result.stdout)
    assert list(printed)[:4] == ["version", "command", "ok", "error"]
    assert (printed["version"], printed["command"]) == (JSON_VERSION, arguments[0])
    assert printed["ok"] == (result.exit_code == 0)
    assert (printed["error"] is None) == printed["ok"] or arguments[0] == "doctor"


@pytest.mark.parametrize(
    "arguments",
    [("sessions",), ("report", "all"), ("report", "--by", "model"), ("limits",), ("audit",), ("top",), ("budgets",)],
)
def test_json_has_the_same_fields_before_the_first_session(account: Account, arguments: tuple[str, ...]) -> None:
    before = json.loads(account.ok(*arguments, "--json"))
    account.use()
    after = json.loads(account.ok(*arguments, "--json"))
    assert before.keys() == after.keys()


@pytest.mark.parametrize("form", ["--csv", "--markdown"])
def test_a_table_has_the_same_head_before_the_first_session(account: Account, form: str) -> None:
    before = account.ok("report", "all", form).splitlines()[0]
    account.use()
    after = account.ok("report", "all", form).splitlines()[0]
    assert after.startswith(before.rstrip("| "))
    assert "," in before if form == "--csv" else before.startswith("| agent")


@pytest.mark.parametrize("name", ["status", "flush", "report", "doctor", "install", "uninstall"])
def test_an_error_in_json_has_the_same_shape(account: Account, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(account.root))
    result = account.run(name, "--json")
    printed = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (printed["version"], printed["command"], printed["ok"]) == (JSON_VERSION, name, False)
    assert "There is no home folder" in printed["error"]


def test_json_of_one_run_does_not_stay_for_the_next(account: Account) -> None:
    account.run("status", "--json")
    assert account.run("report").stdout.startswith("Nothing was captured yet")


def test_csv_has_exact_values(account: Account) -> None:
    account.use()
    [row] = csv.DictReader(io.StringIO(account.ok("report", "--csv")))
    assert (row["agent"], row["sessions"]) == ("backend", "1.0")


def test_a_cost_without_a_price_is_unknown(account: Account) -> None:
    account.use()
    core = assemble_core(account.home, Config())
    with core.store.transaction():
        core.facts.upsert(
            model.ApiRequest(
                message_id="m",
                answer_id="",
                model="nobodys-model",
                agent_type="main",
                input_tokens=5,
                output_tokens=7,
                cache_read_tokens=0,
                cache_write_5m_tokens=0,
                cache_write_1h_tokens=0,
                agent="backend",
                project="x",
            )
        )
    text = account.ok("report")
    [agent] = [line for line in text.splitlines() if line.startswith("backend  x") and "5" in line]
    [used] = [line for line in text.splitlines() if line.startswith("nobodys-model")]
    assert (agent.split()[-1], used.split()[-1]) == ("unknown", "unknown")
    found = list(csv.DictReader(io.StringIO(account.ok("report", "--csv", "--by", "model"))))
    assert [(row["model"], row["cost_usd"], row["unpriced_tokens"]) for row in found] == [("nobodys-model", "", "12.0")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "status", "doctor"])
def test_no_line_is_longer_than_the_terminal_or_ends_with_a_blank(
    account: Account, monkeypatch: pytest.MonkeyPatch, width: int, name: str
) -> None:
    account.use()
    monkeypatch.setenv("COLUMNS", str(width))
    lines = account.run(name).stdout.splitlines()
    assert all(line == line.rstrip() for line in lines)
    # A path is not broken: it would be of no use.
    assert [line for line in lines if len(line) > width and str(account.root) not in line] == []


def test_a_pipe_gets_no_boxes_and_no_broken_lines(account: Account) -> None:
    account.use()
    for name in ("report", "status", "doctor"):
        text = account.run(name).stdout
        assert not set(text) & set("─│━┃╭")
        assert all(line == line.rstrip() for line in text.splitlines())
    status = account.run("status").stdout.splitlines()
    assert len([line for line in status if line.startswith("home")]) == 1


def test_a_table_becomes_records_where_its_columns_do_not_fit() -> None:
    grid = Grid(
        "Agents", ("agent", "project"), ("tokens in", "cost"), [["backend", "book-cataloger", "54.0k", "$1,234.00"]]
    )
    assert list(grid.lines(30)) == ["backend · book-cataloger", "  tokens in  54.0k", "  cost       $1,234.00"]
    for width in range(34, 90):
        assert max(map(len, grid.lines(width))) <= width
        assert "$1,234.00" in "".join(grid.lines(width))


@pytest.mark.parametrize("charset", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_gets_plain_signs(account: Account, charset: str) -> None:
    account.use()
    account.charset = charset
    for name in ("report", "doctor", "status", "flush"):
        result = account.run(name)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "backend" in result.stdout or name != "report"


def test_the_demo_runs_in_an_ascii_terminal_of_forty_columns(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    account.charset = "ascii"
    assert "backend" in account.ok("demo")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 minutes"), (7199, "120 minutes"), (7200, "2 hours"), (200_000, "2 days")],
)
def test_times_are_in_the_unit_that_people_use(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_detached_is_refused_at_a_terminal(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_hooks_otel.cli.daemon.sys", SimpleNamespace(stdin=_Terminal()))
    result = account.run("daemon", "--detached")
    assert result.exit_code == 2
    assert "for hooks only" in result.stderr


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# -- console -----------------------------------------------------------------------------------------------------------------


def test_console_export_is_in_a_file_that_install_and_status_name(account: Account) -> None:
    said = account.ok("install", "--exporter", "console")
    assert (
        f"Console export goes to {account.home.console}. Follow it with `claude-hooks-otel console --follow`." in said
    )
    account.capture()
    assert "console metrics: accepted" in account.ok("flush")
    assert str(account.home.console) in account.ok("status")
    assert account.home.console.stat().st_mode & 0o777 == 0o600
    printed = [json.loads(line) for line in account.ok("console").splitlines()]
    assert any("claude.sessions" in json.dumps(document) for document in printed)


def test_console_follows_new_lines_also_after_the_file_began_again(account: Account) -> None:
    account.home.create()
    file = account.home.console
    file.write_text("one\ntwo\n")
    follower = subprocess.Popen(
        [sys.executable, "-m", "claude_hooks_otel", "console", "--follow", "--lines", "1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert follower.stdout is not None
    try:
        assert follower.stdout.readline() == "two\n"
        with file.open("a") as opened:
            opened.write("three\n")
        assert follower.stdout.readline() == "three\n"
        file.rename(Path(f"{file}.1"))
        file.write_text("four\n")
        assert follower.stdout.readline() == "four\n"
    finally:
        follower.terminate()
        follower.wait()
        follower.stdout.close()


def test_a_command_imports_only_its_own_module() -> None:
    """Otherwise a report would wait for the libraries of the page and of the exporters."""
    code = (
        "import sys; from claude_hooks_otel.cli.app import COMMANDS, make_app; app = make_app('report');"
        "print([name for name in COMMANDS.values() if f'claude_hooks_otel.cli.{name}' in sys.modules], 'starlette' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "['report'] False"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_there_alone_as_it_is_among_all(command: str) -> None:
    found = CliRunner().invoke(make_app(command), [command, "--help"])
    assert (found.exit_code, found.output) == (0, CliRunner().invoke(make_app(), [command, "--help"]).output)
