"""The status line shows what its format names, from the client's input and the store, and nothing that goes wrong reaches the session."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.status_line import launcher
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.report.statusline import given as given_module
from claude_hooks_otel.report.statusline.fields import FIELDS
from claude_hooks_otel.report.statusline.given import COST, DOLLAR, Given, parse, trusted_home
from claude_hooks_otel.report.statusline.line import main
from claude_hooks_otel.report.statusline.template import DEFAULT, FormatError, parse_format, render
from claude_hooks_otel.report.statusline.wrapped import output_of
from claude_hooks_otel.series import aggregates
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.units import DOLLAR as PICODOLLARS
from claude_hooks_otel.units import SECOND
from tests.support.places import ROOT
from tests.support.replay import Clock

CORPUS = ROOT / "tests" / "data" / "statusline.jsonl"
INPUTS = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
NOW = 1_795_826_240.0
FOLDER = "/home/dev/.claude"
SUBSCRIBER: dict[str, Any] = INPUTS[-1]
# The same, with a limit that does not begin again before the year 2096: a process has the clock of this machine.
LIVE = SUBSCRIBER | {"rate_limits": {"five_hour": {"used_percentage": 42.2, "resets_at": 4_000_000_000}}}


def shown(text: str, status: Mapping[str, Any] = SUBSCRIBER, home: Home | None = None, *, colour: bool = False) -> str:
    with contextlib.closing(Given(dict(status), None if home is None else str(home.root), NOW)) as given:
        return render(parse_format(text), given, colour=colour)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = assemble_core(Home(tmp_path / "state"), Config(), Clock(round(NOW) * SECOND))
    yield core
    core.store.close()


def add(core: Core, *facts: model.Fact) -> Home:
    with core.store.transaction():
        core.facts.upsert(*facts)
    return Home(core.store.path.parent)


def request(dollars: float, at: float) -> model.ApiRequest:
    return model.ApiRequest(
        message_id=f"m{at}", answer_id="", model="m", agent_type="main", agent="backend", project="shop", at_ns=round(at * SECOND),
        cost=round(dollars * PICODOLLARS),
    )  # fmt: skip


def limit(window: str, percent: float, resets: float, at: float, folder: str = FOLDER) -> model.LimitReading:
    return model.LimitReading(
        config_folder=folder, limit_window=window, resets_ns=round(resets * SECOND), used_basis_points=round(percent * 100),
        at_ns=round(at * SECOND),
    )  # fmt: skip


# -- the format ----------------------------------------------------------------------------------------------------------------


def test_the_usual_line_shows_model_context_costs_and_limits() -> None:
    assert shown(DEFAULT) == (
        "Sonnet 4.5 · 11% context · $0.09 · 5h 42% (resets in 1h 54m) · week 7% (resets in 2d 23h)"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{model_id}", "claude-sonnet-4-5"),
        ("{context_tokens}/{context_size}", "21k/200k"),
        ("{session_cost}", "$0.09"),
        ("{five_hour} {five_hour_resets} {week} {week_resets}", "42% 1h 54m 7% 2d 23h"),
        ("{lines_added} {lines_removed}", "+12 -3"),
        ("{duration} {project} {directory} {version}", "20m 12s shop src 2.1.332"),
        ("{session_name}", "–"),
        ("a[ {session_name}]b[ {model}]", "ab Sonnet 4.5"),
        ("[{model}[ {session_name}]]", "Sonnet 4.5"),
        ("{{x}} [[x]] \\n{effort}", "{x} [x] \n–"),
    ],
)
def test_a_format_shows_its_fields(text: str, line: str) -> None:
    assert shown(text) == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{cost}", "there is no field {cost}. The fields are model,"),
        ("{model", "is not closed"),
        ("[{model}", "a bracket is not closed"),
        ("model}", "'}' closes nothing"),
        ("{context:x}", "two numbers are expected"),
    ],
)
def test_a_wrong_format_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(FormatError) as error:
        parse_format(text)
    assert message in str(error.value)


@pytest.mark.parametrize(("percent", "colour"), [(49, 32), (50, 33), (79.6, 33), (80, 31), (100, 31)])
def test_a_share_is_green_yellow_or_red(percent: float, colour: int) -> None:
    status = {"context_window": {"used_percentage": percent}}
    assert shown("{context}", status, colour=True) == f"\x1b[{colour}m{percent:.0f}%\x1b[0m"
    assert shown("{context}", status) == f"{percent:.0f}%"


def test_a_format_sets_thresholds_of_its_own() -> None:
    assert shown("{session_cost:0.01,0.05}", colour=True) == "\x1b[31m$0.09\x1b[0m"
    assert shown("{context:10,50}", colour=True) == "\x1b[33m11%\x1b[0m"


def test_texts_of_the_input_cannot_control_the_terminal() -> None:
    assert shown("{model}", {"model": {"display_name": "a\x1b[2Jb\nc"}}) == "a[2Jbc"


@pytest.mark.parametrize("status", INPUTS, ids=str)
def test_every_recorded_input_gives_a_line_without_unknown_fields(status: Mapping[str, Any]) -> None:
    line = shown(DEFAULT, status)
    assert line.startswith(status["model"]["display_name"])
    assert "–" not in line


@pytest.mark.parametrize("value", [None, True, [], {}, "x", -1, 1e300, float("nan"), "\ud800"], ids=repr)
def test_a_value_of_any_type_gives_a_line(value: object) -> None:
    parts = {"used_percentage": value, "resets_at": value, "current_usage": value, "total_cost_usd": value}
    everywhere = dict.fromkeys(SUBSCRIBER, value)
    below = {key: {"five_hour": parts, "level": value} | parts for key in SUBSCRIBER}
    for name in FIELDS:
        for status in (everywhere, below):
            shown(f"{{{name}}}", status, colour=True).encode(errors="strict")


# -- the store -----------------------------------------------------------------------------------------------------------------


def test_the_constants_are_those_of_the_store() -> None:
    """The line does not import the modules that have them, because that takes too long."""
    assert catalog.COST.name == COST
    assert given_module.BUCKET_SECONDS * SECOND == aggregates.BUCKET
    assert DOLLAR == PICODOLLARS


def test_the_cost_of_the_day_is_that_of_every_session_since_midnight(core: Core) -> None:
    date = time.localtime(NOW)
    midnight = time.mktime((date.tm_year, date.tm_mon, date.tm_mday, 0, 0, 0, 0, 0, -1))
    home = add(core, request(5, midnight - 1), request(1.5, midnight), request(0.25, NOW - 60))
    assert shown("{day_cost}", home=home) == "$1.75"


def test_without_requests_the_day_has_cost_nothing(core: Core) -> None:
    assert shown("{day_cost}", home=add(core)) == "$0.00"


def test_limits_of_another_session_are_shown_before_the_first_answer(core: Core) -> None:
    home = add(core, limit("five_hour", 30, NOW + 3600, NOW - 60), limit("five_hour", 35, NOW + 3600, NOW - 5))
    first = {"transcript_path": f"{FOLDER}/projects/-shop/s.jsonl"}
    assert shown("{five_hour} {five_hour_resets}", first, home) == "35% 1h"
    assert shown("{five_hour}", {"transcript_path": "/home/other/.claude/projects/-shop/s.jsonl"}, home) == "–"


def test_a_limit_that_began_again_is_unknown(core: Core) -> None:
    home = add(core, limit("five_hour", 30, NOW - 1, NOW - 60))
    old = {
        "transcript_path": f"{FOLDER}/projects/-shop/s.jsonl",
        "rate_limits": {"five_hour": {"used_percentage": 9, "resets_at": NOW - 1}},
    }
    assert shown("{five_hour}", old, home) == "–"


def test_the_later_share_of_a_limit_is_shown(core: Core) -> None:
    """A session's input is from its own last answer. Another session may have used more since."""
    home = add(core, limit("five_hour", 60, SUBSCRIBER["rate_limits"]["five_hour"]["resets_at"], NOW - 5))
    assert shown("{five_hour}", home=home) == "60%"


def budget(
    core: Core, scope: str, name: str, period: str, percent: float, ends: float = NOW + 60, unpriced: int = 0
) -> None:
    row = (scope, name, period, int(NOW - 60) * SECOND, round(ends * SECOND), 1000, round(percent * 10), unpriced)
    with core.store.transaction():
        core.store.connection.execute("INSERT INTO budget_state VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def test_the_budget_that_is_used_most_is_shown_of_those_in_which_the_session_counts(core: Core) -> None:
    own = model.Session(session_id=SUBSCRIBER["session_id"], agent="backend", project="shop", team="core")
    home = add(core, own)
    assert shown("a[ {budget}]", home=home) == "a"
    for scope, name, period, percent, text in (
        ("all", "all", "month", 62, "month 62%"),
        ("agent", "frontend", "day", 99, "month 62%"),
        ("project", "shop", "week", 70.4, "project week 70%"),
        ("team", "core", "month", 81, "team month 81%"),
        ("agent", "backend", "day", 130, "agent day 130%"),
    ):
        budget(core, scope, name, period, percent)
        assert shown("{budget}", home=home) == text
    assert shown("{budget}", SUBSCRIBER | {"session_id": "new"}, home) == "month 62%"
    assert " · budget agent day 130% · " in shown(DEFAULT, home=home)


def test_a_budget_whose_period_is_over_is_not_shown(core: Core) -> None:
    budget(core, "all", "all", "day", 90, ends=NOW)
    assert shown("{budget}", home=add(core)) == "–"


@pytest.mark.parametrize(("percent", "colour"), [(79, 32), (80, 33), (100, 31)])
def test_a_budget_has_the_colour_of_its_share(core: Core, percent: float, colour: int) -> None:
    budget(core, "all", "all", "day", percent, unpriced=7)
    assert shown("{budget}", home=add(core), colour=True) == f"\x1b[{colour}mday >{percent}%\x1b[0m"


# -- the process ---------------------------------------------------------------------------------------------------------------

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / ".local" / "state" / "claude-hooks-otel")
    home.create()
    home.status_line.write_bytes(launcher(sys.executable))
    return home


@pytest.fixture
def run(tmp_path: Path, home: Home) -> Run:
    """Run the registered command, as the client does."""

    def run(
        *arguments: str, content: bytes = json.dumps(LIVE).encode(), **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["/bin/sh", "-c", 'sh "$HOME/.local/state/claude-hooks-otel/statusline.sh" "$@"', "sh", *arguments],
            input=content, env={"HOME": str(tmp_path), "PATH": os.defpath, "NO_COLOR": "1"} | environ, capture_output=True, check=False,
        )  # fmt: skip

    return run


def waiting(home: Home) -> list[dict[str, Any]]:
    return [json.loads(entry.payload) for entry in Spool(home.spool).take(100)]  # type: ignore[union-attr]


def test_the_process_imports_no_heavy_module(tmp_path: Path, home: Home) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from claude_hooks_otel.report.statusline.line import main; "
        "import os; main([], os.environ); sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        input=json.dumps(LIVE).encode(), env={"HOME": str(tmp_path)}, capture_output=True, check=True,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stderr.decode().split()}
    assert waiting(home)
    assert not loaded & {
        "typing",
        "dataclasses",
        "pathlib",
        "subprocess",
        "typer",
        "rich",
        "pydantic",
        "opentelemetry",
        "asyncio",
    }


def test_the_console_command_prints_the_same_line(tmp_path: Path, run: Run) -> None:
    command = [
        str(Path(sys.executable).with_name("claude-hooks-otel")),
        "statusline",
        "--format",
        "{model} {session_cost}",
    ]
    environ = {"HOME": str(tmp_path), "PATH": os.defpath, "NO_COLOR": "1"}
    done = subprocess.run(command, input=json.dumps(LIVE).encode(), env=environ, capture_output=True, check=True)
    assert done.stdout == run("--format", "{model} {session_cost}").stdout == b"Sonnet 4.5 $0.09\n"


def test_no_color_turns_colours_off(run: Run) -> None:
    assert b"\x1b[" in run("--format", "{context}", NO_COLOR="").stdout
    assert run("--format", "{context}").stdout == b"11%\n"


def test_a_wrong_format_is_said_in_the_line_itself(run: Run) -> None:
    """The client hides the line of a program that fails."""
    done = run("--format", "{cost}")
    assert done.returncode == 0
    assert done.stdout.startswith(b"claude-hooks-otel statusline: there is no field {cost}.")


def test_wrong_arguments_are_said(run: Run) -> None:
    assert run("--colour").returncode == 2
    assert b"--colour" in run("--colour").stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"[1, 2]", b'"text"', b"{", b"\xff\xfe", b"[" * 100_000, b"x" * 5_000_000, b'{"session_id": "s", "x": "' + b"y" * 6_000_000 + b'"}'],
    ids=["nothing", "garbage", "list", "text", "cut", "binary", "deep", "huge garbage", "huge"],
)  # fmt: skip
def test_any_input_gives_a_line(run: Run, home: Home, content: bytes) -> None:
    done = run(content=content)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "–\n", b"")
    assert waiting(home) == []


def test_without_a_home_the_line_says_what_the_input_says(tmp_path: Path, home: Home, run: Run) -> None:
    assert b"$0.09" in run(XDG_STATE_HOME=str(tmp_path / "elsewhere")).stdout
    assert waiting(home) == []
    assert not (tmp_path / "elsewhere").exists()


def lock(home: Home) -> sqlite3.Connection:
    other = sqlite3.connect(home.store, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    return other


@pytest.mark.parametrize("fault", ["missing", "damaged", "locked", "folder", "empty"])
def test_a_store_that_cannot_be_read_costs_only_its_fields(home: Home, run: Run, fault: str) -> None:
    held = None
    if fault == "damaged":
        home.store.write_bytes(b"no database" * 1000)
    elif fault == "folder":
        home.store.mkdir()
    elif fault in ("locked", "empty"):
        assemble_core(home, Config()).store.close() if fault == "locked" else home.store.touch()
        held = lock(home) if fault == "locked" else None
    done = run("--format", "{model}[ {day_cost} today] {five_hour}")
    if held is not None:
        held.close()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Sonnet 4.5 42%\n", b"")
    assert len(waiting(home)) == 1


_READ_ONLY = 'mount --bind "$HOME" "$HOME" && mount -o remount,ro,bind "$HOME" && exec sh "$HOME/.local/state/claude-hooks-otel/statusline.sh"'
_UNSHARE = ["unshare", "--mount", "--map-root-user"]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or bool(subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode),
    reason="this machine does not allow mount namespaces",
)
def test_a_home_on_a_read_only_file_system_does_not_disturb(tmp_path: Path, home: Home) -> None:
    assemble_core(home, Config()).store.close()
    environ = {"HOME": str(tmp_path), "PATH": os.defpath, "NO_COLOR": "1"}
    command = [*_UNSHARE, "sh", "-c", _READ_ONLY]
    done = subprocess.run(command, input=json.dumps(LIVE).encode(), env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Sonnet 4.5" in done.stdout
    assert b"5h 42%" in done.stdout
    assert waiting(home) == []


def test_a_spool_that_cannot_be_written_does_not_disturb(home: Home, run: Run) -> None:
    (home.spool / "tmp").rmdir()
    (home.spool / "tmp").touch()
    done = run()
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Sonnet" in done.stdout


def test_closed_streams_do_not_disturb(home: Home, run: Run, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": os.defpath}
    for closing in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "| true"):
        command = f'sh "$HOME/.local/state/claude-hooks-otel/statusline.sh" {closing}'
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, env=environ, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), closing


def test_the_home_of_a_project_is_neither_read_nor_written(tmp_path: Path, home: Home, run: Run) -> None:
    """A project can set the session's variables. Only a home that ``install`` has recorded counts."""
    other = Home(tmp_path / "project" / "state")
    other.create()
    run(CLAUDE_HOOKS_OTEL_HOME=str(other.root))
    assert waiting(other) == waiting(home) == []
    home.others.write_text(f"{other.root}\n")
    run(CLAUDE_HOOKS_OTEL_HOME=str(other.root))
    assert len(waiting(other)) == 1
    environ = {"HOME": str(tmp_path), "CLAUDE_HOOKS_OTEL_HOME": str(other.root)}
    assert trusted_home(environ) == str(Home.from_environment(environ).root)


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "none"])
def test_the_home_is_the_one_of_the_commands(tmp_path: Path, home: Home, variable: str) -> None:
    state = Home(tmp_path / "xdg" / "claude-hooks-otel")
    state.create()
    home.others.write_text(f"{state.root}\n")
    environ = {"HOME": str(tmp_path), variable: str(tmp_path / "xdg")}
    assert trusted_home(environ) == str(Home.from_environment(environ).root)


# -- what was there before -----------------------------------------------------------------------------------------------------


def test_the_output_of_a_wrapped_command_comes_first_or_last(run: Run) -> None:
    theirs = """printf '%s\\n' "$(wc -c) bytes" second"""
    size = len(json.dumps(LIVE))
    assert run("--wrap", theirs, "--format", "ours").stdout.decode() == f"{size} bytes\nsecond\nours\n"
    assert run("--wrap", theirs, "--format", "ours", "--wrap-after").stdout.decode() == f"ours\n{size} bytes\nsecond\n"


def test_a_wrapped_command_that_fails_shows_nothing(run: Run) -> None:
    assert run("--wrap", "echo half; exit 1", "--format", "ours").stdout == b"ours\n"
    assert run("--wrap", "no-such-command", "--format", "ours").stdout == b"ours\n"


def test_a_wrapped_command_that_neither_reads_nor_stops_writing_ends() -> None:
    assert output_of("echo done", b"x" * 3_000_000, os.environ) == "done"
    assert output_of("yes | head -c 300000; exec >&-", b"", os.environ) != ""


def test_a_wrapped_command_that_hangs_is_ended() -> None:
    assert output_of("exec sleep 60", b"", os.environ, timeout=0.2) == ""
    assert output_of("exec >&-; exec sleep 60", b"", os.environ, timeout=0.2) == ""


def test_a_wrapped_command_goes_on_when_the_package_is_gone(home: Home, run: Run) -> None:
    home.status_line.write_bytes(launcher("/gone/python"))
    assert run("--format", "ours", "--wrap", "echo theirs").stdout == b"theirs\n"
    done = run("--format", "ours")
    assert (done.returncode, done.stdout) == (0, b"")


# -- what it hands on ----------------------------------------------------------------------------------------------------------


def test_the_input_is_handed_on_once_until_something_changes(home: Home, run: Run) -> None:
    run()
    [first] = waiting(home)
    assert first["session_id"] == LIVE["session_id"]
    assert first["rate_limits"] == LIVE["rate_limits"]
    Spool(home.spool).done([path.name for path in (home.spool / "new").iterdir()])
    longer = LIVE | {"cost": LIVE["cost"] | {"total_duration_ms": 99_999_999}}
    run(content=json.dumps(longer).encode())
    assert waiting(home) == []
    dearer = LIVE | {"cost": LIVE["cost"] | {"total_cost_usd": 1.5}}
    run(content=json.dumps(dearer).encode())
    assert [entry["cost"]["total_cost_usd"] for entry in waiting(home)] == [1.5]


def test_a_newer_input_replaces_the_one_that_waits(home: Home, run: Run) -> None:
    for dollars in (1, 2, 3):
        run(content=json.dumps(LIVE | {"cost": {"total_cost_usd": dollars}}).encode())
    assert [entry["cost"]["total_cost_usd"] for entry in waiting(home)] == [3]


def test_the_file_in_the_spool_is_small_and_has_no_content(home: Home, run: Run) -> None:
    large = LIVE | {
        "session_name": "secret plan",
        "cwd": "/x" * 100_000,
        "rate_limits": {f"w{n}": {"used_percentage": 1} for n in range(1000)},
    }
    run(content=json.dumps(large).encode())
    [file] = (home.spool / "new").iterdir()
    assert file.stat().st_size < 20_000
    assert b"secret" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_session_id_cannot_lead_out_of_the_folder(home: Home, run: Run) -> None:
    run(content=json.dumps(LIVE | {"session_id": "../../../evil"}).encode())
    assert [path.name.split(".")[1] for path in (home.spool / "new").iterdir()] == ["evil"]


def test_main_returns_0(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", None)
    assert main(["--format=x"], os.environ) == 0
    assert capsys.readouterr().out == "x\n"


def test_an_input_that_is_no_object_is_an_empty_one() -> None:
    assert parse(b"[]") == parse(b"nonsense") == {}


def test_the_page_on_the_status_line_names_every_field() -> None:
    page = (ROOT / "docs" / "statusline.md").read_text(encoding="utf-8")
    assert [f"| `{{{name}}}` | {meaning} |" for name, (_, _, meaning) in FIELDS.items()] == [
        line for line in page.splitlines() if line.startswith("| `{")
    ]
