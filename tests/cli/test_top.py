"""``top`` in a real terminal, in a pipe, and the keys that change what it shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from claude_hooks_otel.cli.keyboard import parse_keys
from claude_hooks_otel.cli.top_view import View, list_screen, timeline_screen
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.report.live import LiveSession, State
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.cli.conftest import Account
from tests.support.terminal import Terminal, missing

COMMAND = str(Path(sys.executable).with_name("claude-hooks-otel"))
NOW = 1_000_000 * SECOND


def _session(name: str, state: State = State.THINKING, **given: object) -> LiveSession:
    values = {
        "session_id": name, "agent": f"{name}-agent", "project": "shop", "model": "claude-opus-4-5", "tool": None,
        "tool_since_ns": None, "state": state, "state_since_ns": NOW - 8 * SECOND, "context_percent": 10, "cost": DOLLAR,
        "started_ns": NOW - 3600 * SECOND, "tools_running": 0, "subagents_running": 0, "is_compacting": False,
        "last_activity_ns": NOW,
    }  # fmt: skip
    return LiveSession(**{**values, **given})  # type: ignore[arg-type]


SESSIONS = [
    _session("aaaa", State.IDLE, cost=3 * DOLLAR),
    _session("bbbb", State.WAITING, tool="Bash", context_percent=90),
    _session("cccc", State.TOOL, tool="Read", tools_running=3, project="payments"),
]


def _names(view: View) -> str:
    return "".join(live.session_id[0] for live in view.shown(SESSIONS))


def _press(view: View, *keys: str) -> View:
    for key in keys:
        view.press(key, SESSIONS, page=10)
    return view


def _text(view: View, columns: int, lines: int) -> list[str]:
    return [line.plain for line in list_screen(view, SESSIONS, NOW, (columns, lines), [])]


def test_sessions_that_wait_for_a_human_come_first() -> None:
    assert _names(View()) == "bca"


def test_keys_sort_and_reverse_the_list() -> None:
    view = _press(View(), "s", "s")
    assert (view.sort, _names(view)) == ("cost", "abc")
    assert _names(_press(view, "r"))[-1] == "a"
    assert _names(_press(View(), "s", "s", "s"))[0] == "b", "the fullest context comes first"


def test_a_filter_keeps_the_sessions_that_contain_it() -> None:
    view = _press(View(), "/", *"PAYX", "backspace")
    assert view.is_typing
    assert _names(view) == "c"
    assert not _press(view, "enter").is_typing
    assert _names(view) == "c"
    assert _names(_press(view, "escape")) == "bca"


def test_a_letter_of_the_filter_is_no_command() -> None:
    view = _press(View(), "/", "q", "s")
    assert (view.is_over, view.filter, view.sort) == (False, "qs", "state")


def test_a_selection_stays_with_its_session_when_the_order_changes() -> None:
    view = _press(View(), "down")
    assert view.selected == "cccc"
    assert _press(view, "r").selected == "cccc"
    assert _press(view, "end", "down").selected == _press(view, "end").selected


def test_enter_opens_the_selected_session_and_escape_closes_it() -> None:
    view = _press(View(), "down", "enter")
    assert view.opened == "cccc"
    assert _press(view, "escape").opened == ""


def test_a_timeline_begins_at_its_end_and_scrolls() -> None:
    view, lines = _press(View(), "enter"), ["head", "rule", *(f"step {number}" for number in range(50))]

    def shown() -> list[str]:
        return [line.plain for line in timeline_screen("Session", lines, view, (60, 10))]

    assert shown()[-2] == "step 49"
    _press(view, "up", "up")
    assert (shown()[-2], view.scroll) == ("step 47", 2)
    _press(view, "g")
    assert shown()[3] == "step 0"
    _press(view, "G")
    assert shown()[-2] == "step 49"
    assert len(shown()) == 10


@pytest.mark.parametrize("columns", [10, 20, 30, 60, 80, 120, 200])
@pytest.mark.parametrize("lines", [4, 6, 10, 40])
def test_every_line_fits_into_the_terminal_and_says_what_each_session_does(columns: int, lines: int) -> None:
    found = _text(View(), columns, lines)
    assert max(map(len, found)) <= columns
    assert len(found) <= lines
    assert any(line.startswith("waiting"[: columns - 2]) for line in found)


def test_the_selected_session_is_on_a_low_screen() -> None:
    view = _press(View(), "end")
    assert any(line.startswith("idle") for line in _text(view, 80, 4))


def test_parallel_calls_and_a_compaction_are_named() -> None:
    assert any("Read and 2 more" in line for line in _text(View(), 120, 20))
    compacting = [_session("dddd", is_compacting=True)]
    assert any(line.plain.startswith("compacting") for line in list_screen(View(), compacting, NOW, (120, 20), []))


def test_keys_are_recognized_in_what_a_terminal_sends() -> None:
    assert parse_keys("q\x1b[A\x1bOB\x1b[5~\r\x7fä") == ["q", "up", "down", "page up", "enter", "backspace", "ä"]
    assert parse_keys("\x1b") == ["escape"]
    assert parse_keys("\x1b[200~\x1b[1;5C\x00") == []


# -- the command ---------------------------------------------------------------------------------------------------------------


class Live:
    """An account with two live sessions, and the command in a terminal."""

    def __init__(self, account: Account) -> None:
        self.account, self.root = account, account.root
        self.event("aaaa1111", "SessionStart", source="startup", model="claude-opus-4-5")
        self.event("bbbb2222", "SessionStart", source="startup", model="claude-haiku-4-5")
        self.event("bbbb2222", "PermissionRequest", tool_name="AskUserQuestion", tool_input={})
        self.take_in()

    def event(self, session: str, event: str, **payload: object) -> None:
        fields = {"session_id": session, "transcript_path": "/none.jsonl", "cwd": "/", "hook_event_name": event}
        headers = {"agent": f"{session[:4]}-agent", "project": "shop"}
        Spool(self.account.home.spool).write(event, headers, json.dumps(fields | payload).encode())

    def take_in(self) -> None:
        flush_now(self.account.home, 10, {})

    def environ(self, **more: str) -> dict[str, str]:
        names = {"HOME": str(self.root), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        return names | more

    def terminal(self, **environ: str) -> Terminal:
        return Terminal(self.root, [COMMAND, "top"], self.environ(**environ), cwd=self.root, size=(110, 16))

    def piped(self, *arguments: str) -> str:
        command = [COMMAND, "top", *arguments]
        return subprocess.run(command, env=self.environ(), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def live(account: Account) -> Live:
    return Live(account)


in_a_terminal = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_a_pipe_gets_one_printout(live: Live) -> None:
    header, *rows = live.piped().splitlines()
    assert header.split()[:3] == ["state", "tool", "agent"]
    assert [row.split("  ")[0] for row in rows] == ["waiting for permission", "idle"]


def test_a_pipe_gets_what_waits_in_the_spool(live: Live) -> None:
    live.event("aaaa1111", "SessionEnd", reason="other")
    assert "aaaa-agent" not in live.piped()


def test_json_has_every_field_of_a_live_session(live: Live) -> None:
    found = {each["session_id"]: each for each in json.loads(live.piped("--json"))["sessions"]}
    assert found.keys() == {"aaaa1111", "bbbb2222"}
    waiting = found["bbbb2222"]
    assert (waiting["state"], waiting["tool"], waiting["cost_usd"]) == (
        "waiting for permission",
        "AskUserQuestion",
        None,
    )


def test_without_live_sessions_a_pipe_gets_a_sentence(live: Live) -> None:
    for session in ("aaaa1111", "bbbb2222"):
        live.event(session, "SessionEnd", reason="other")
    assert live.piped() == "No session runs. Start one with `claude`.\n"
    assert json.loads(live.piped("--json"))["sessions"] == []


@in_a_terminal
def test_the_screen_follows_the_store_the_keys_and_the_size_of_the_terminal(live: Live) -> None:
    with live.terminal() as terminal:
        assert "2 sessions · 1 waiting for permission · 1 idle" in terminal.wait_for("aaaa-agent")
        live.event("aaaa1111", "UserPromptSubmit", prompt="x")
        live.take_in()
        terminal.wait_for("1 thinking")
        terminal.keys("/", "bbbb")
        terminal.wait_for("aaaa-agent", gone=True)
        terminal.keys("Escape")
        terminal.wait_for("aaaa-agent")
        terminal.resize(40, 8)
        terminal.wait_for("started", gone=True)
        assert max(map(len, terminal.screen().splitlines())) <= 40
        terminal.resize(110, 16)
        terminal.keys("Enter")
        terminal.wait_for("Session bbbb2222")
        terminal.keys("Escape")
        terminal.wait_for("aaaa-agent")
        terminal.keys("q")
        assert "[ended with 0 ]" in terminal.wait_for("[ended with"), "the terminal has its mode again"


@in_a_terminal
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_leaves_the_terminal_as_it_was(live: Live, number: signal.Signals, code: int) -> None:
    with live.terminal() as terminal:
        terminal.wait_for("aaaa-agent")
        [command] = [
            child for child in psutil.Process(terminal.process).children(recursive=True) if "top" in child.cmdline()
        ]
        command.send_signal(number)
        screen = terminal.wait_for("[ended with")
        assert f"[ended with {code} ]" in screen
        assert "aaaa-agent" not in screen


@in_a_terminal
def test_no_color_turns_colours_off(live: Live) -> None:
    def colours(**environ: str) -> bool:
        with live.terminal(**environ) as terminal:
            terminal.wait_for("aaaa-agent")
            return "\x1b[36m" in terminal.screen(styles=True) or "\x1b[33m" in terminal.screen(styles=True)

    assert colours()
    assert not colours(NO_COLOR="1")


@in_a_terminal
def test_a_store_that_cannot_be_read_is_named_on_the_screen(live: Live) -> None:
    with live.terminal() as terminal:
        terminal.wait_for("aaaa-agent")
        live.account.home.store.unlink()
        for suffix in ("-wal", "-shm"):
            live.account.home.store.with_name(live.account.home.store.name + suffix).unlink(missing_ok=True)
        live.account.home.store.write_bytes(b"no database" * 1000)
        terminal.wait_for("damaged:")
        terminal.keys("q")
        terminal.wait_for("[ended with")
