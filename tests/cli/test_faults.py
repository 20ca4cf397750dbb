"""Every command under every fault: no traceback, no false sentence, and the exit code that docs/commands.md names."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from claude_hooks_otel.store import connection
from tests.cli.conftest import Account
from tests.support.otlp_receiver import OtlpReceiver

# What each command is called with. `demo` has a home of its own, so it is only in the tests of the terminal. `serve` runs until
# it is stopped: tests/web has it.
COMMANDS = {
    "install": ("install", "--agent", "backend"),
    "uninstall": ("uninstall",),
    "managed-settings": ("managed-settings", "--team", "shop"),
    "doctor": ("doctor",),
    "status": ("status",),
    "flush": ("flush", "--timeout", "5"),
    "report": ("report",),
    "report all": ("report", "all"),
    "sessions": ("sessions",),
    "audit": ("audit",),
    "top": ("top",),
    "limits": ("limits",),
    "statusline": ("statusline",),
    "budgets": ("budgets",),
    "mcp": ("mcp",),
    "export": ("export", "openmetrics", "history.txt"),
    "export measurements": ("export", "measurements"),
    "console": ("console",),
    "daemon": ("daemon", "--stop"),
}
Fault = Callable[[Account, pytest.MonkeyPatch, OtlpReceiver], AbstractContextManager[None] | None]
# A command → its exit code, what it has to say, and what would be false. What is missing answers as in USUAL, or like `report`.
Expected = dict[str, tuple[int, str, str]]

NO_CONSOLE = (1, "Turn console export on", "")
NO_DAEMON = (0, "No daemon is running.", "")
NO_BUDGET = (0, "No budget is set.", "")
NO_QUESTION = (0, "", "")  # it ends with its standard input
FINE_REPORT = (0, "backend", "")
FINE_INSTALL = (0, "Wrote", "")
FINE_UNINSTALL = (0, "Took 19 hooks", "")
# What is true when sessions were captured, but no request.
WITHOUT_REQUESTS = {"limits": "have no requests yet", "audit": "Recounted 1 sessions with 0 requests"}
# The client hides the line of a program that fails, and what an organization distributes has nothing to do with this machine. No fault
# changes these.
UNDISTURBED = {"statusline": (0, "–", "rror"), "managed-settings": (0, '"hooks"', "rror")}
# What is true of commands that need more than a sound store.
USUAL = {
    "export": (1, "There is no imported history", "Wrote"),
    "export measurements": (1, "There is no custom exporter", "accepted"),
}
NO_ENDPOINT = "o endpoint is configured"


def no_home(account: Account, monkeypatch: pytest.MonkeyPatch, _: OtlpReceiver) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(account.root / ".claude"))


def not_installed(account: Account, *_: object) -> None:
    """Nothing was ever installed."""


def not_writable(account: Account, monkeypatch: pytest.MonkeyPatch, _: OtlpReceiver) -> None:
    """Nothing can be made below a file, also not by root."""
    (account.root / "file").touch()
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(account.root / "file" / "state"))


def foreign(account: Account, *_: object) -> None:
    account.use()
    for path in (account.home.root, *account.home.root.rglob("*")):
        os.chown(path, 65534, 65534)


def broken_config(account: Account, _: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    account.use()
    account.export_to(receiver.http_endpoint)
    account.ok("flush")
    account.home.config.write_text(f"{account.home.config.read_text()}\n[daemon]\nidle_timeout_second = 5\n")


@contextlib.contextmanager
def busy_store(account: Account, monkeypatch: pytest.MonkeyPatch, _: OtlpReceiver) -> Iterator[None]:
    account.use()
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(account.home.store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        yield


def corrupt_store(account: Account, *_: object) -> None:
    account.use()
    for path in account.home.root.glob("store.db*"):
        path.unlink()
    account.home.store.write_bytes(b"no database" * 1000)


def endpoint(account: Account, url: str) -> None:
    account.use()
    account.export_to(url)
    account.turn()
    account.run("flush")


def endpoint_away(account: Account, *_: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint(account, f"http://127.0.0.1:{port}")


def endpoint_401(account: Account, _: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    receiver.http.fail_with(401, "who are [/you]?")
    endpoint(account, receiver.http_endpoint)


def endpoint_404(account: Account, _: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    receiver.http.fail_with(404, "upstream said [/nope]")
    endpoint(account, receiver.http_endpoint)


def endpoint_hangs(account: Account, _: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    receiver.http.hang()
    endpoint(account, receiver.http_endpoint)


def of_endpoint(reason: str, doctors: str = "") -> Expected:
    """Return what the commands say about an endpoint that accepts nothing."""
    return {
        "install": FINE_INSTALL,
        "uninstall": FINE_UNINSTALL,
        "doctor": (1, doctors or reason, "accepted an empty request"),
        "status": (1, f"otlp metrics: {reason}", NO_ENDPOINT),
        "flush": (1, f"otlp metrics: not accepted (kept, and tried again later): {reason}", "metrics: accepted"),
        "report": FINE_REPORT,
        "top": (0, "No session runs", "Nothing was captured"),
        "budgets": NO_BUDGET,
        "mcp": NO_QUESTION,
        "console": NO_CONSOLE,
        "daemon": NO_DAEMON,
    }


def everywhere(code: int, text: str) -> Expected:
    return dict.fromkeys(COMMANDS, (code, text, "Wrote"))


BROKEN = "unknown key daemon.idle_timeout_second"
TABLE: list[tuple[Fault, Expected]] = [
    (no_home, everywhere(1, "There is no home folder. Set CLAUDE_HOOKS_OTEL_HOME (or HOME)")),
    (
        not_installed,
        {
            "install": FINE_INSTALL,
            "uninstall": FINE_UNINSTALL,
            "doctor": (
                1,
                "not running; no hooks are registered, so no session starts it",
                "the next session starts it",
            ),
            "status": (
                0,
                "not running; no hooks are registered, so no session starts it",
                "the next session starts it",
            ),
            "flush": (0, "Everything is in the embedded store. No endpoint is configured.", "accepted"),
            "report": (0, "Nothing was captured yet", ""),
            "budgets": NO_BUDGET,
            "mcp": NO_QUESTION,
            "console": NO_CONSOLE,
            "daemon": NO_DAEMON,
        },
    ),
    (
        not_writable,
        {
            "install": (1, "file/state", "Wrote"),
            "uninstall": (0, "Nothing of ours was in", "What was captured stays"),
            "doctor": (1, "Not a directory", "the next session starts it"),
            "status": (1, "Not a directory", "the next session starts it"),
            "flush": (1, "Not a directory", "accepted"),
            "report": (0, "They are not in this report", ""),
            "budgets": NO_BUDGET,
            "mcp": NO_QUESTION,
            "console": NO_CONSOLE,
            "daemon": (1, "Not a directory", ""),
        },
    ),
    (foreign, everywhere(1, "is the home of the user")),
    (
        broken_config,
        {
            "install": (1, BROKEN, "Wrote"),
            "uninstall": FINE_UNINSTALL,
            "doctor": (1, BROKEN, NO_ENDPOINT),
            "status": (1, BROKEN, NO_ENDPOINT),
            "flush": (1, BROKEN, NO_ENDPOINT),
            "export": (1, BROKEN, "Wrote"),
            "export measurements": (1, BROKEN, "accepted"),
            "report": FINE_REPORT,
            "budgets": NO_BUDGET,
            "mcp": NO_QUESTION,
            "console": NO_CONSOLE,
            "daemon": NO_DAEMON,
        },
    ),
    (
        busy_store,
        {
            "install": FINE_INSTALL,
            "uninstall": FINE_UNINSTALL,
            "doctor": (1, "is locked by another process", "Move it away"),
            "status": (1, "The store is busy", "0 events"),
            "flush": (1, "is locked by another process", "accepted"),
            "report": (1, "is locked by another process", "Nothing was captured"),
            "budgets": NO_BUDGET,
            "mcp": NO_QUESTION,
            "export": (1, "is locked by another process", "no imported history"),
            "console": NO_CONSOLE,
            "daemon": NO_DAEMON,
        },
    ),
    (
        corrupt_store,
        {
            "install": FINE_INSTALL,
            "uninstall": FINE_UNINSTALL,
            "doctor": (1, "it is not an SQLite database", "no event has been read"),
            "status": (1, "file is not a database", "0 events"),
            "flush": (0, "embedded store", "not a database"),
            "report": (0, "The store was damaged, and was set aside", "Nothing was captured"),
            "budgets": NO_BUDGET,
            "mcp": NO_QUESTION,
            "console": NO_CONSOLE,
            "daemon": NO_DAEMON,
        },
    ),
    (endpoint_away, of_endpoint("Connection refused: nothing listens on 127.0.0.1:")),
    (endpoint_401, of_endpoint("HTTP 401 Unauthorized: who are [/you]?")),
    (endpoint_404, of_endpoint("HTTP 404 Not Found: upstream said [/nope]")),
    (endpoint_hangs, of_endpoint("timed out: ")),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(fault, expected, id=fault.__name__, marks=needs_root if fault is foreign else ())
        for fault, expected in TABLE
    ],
)
def test_each_command_reports_a_fault_in_true_sentences(
    account: Account, monkeypatch: pytest.MonkeyPatch, otlp_receiver: OtlpReceiver, fault: Fault, expected: Expected
) -> None:
    with fault(account, monkeypatch, otlp_receiver) or contextlib.nullcontext():
        for name in sorted(COMMANDS, key=_rank):
            code, said, false = UNDISTURBED.get(name) or expected.get(name) or USUAL.get(name) or expected["report"]
            if expected["report"] is FINE_REPORT and name in WITHOUT_REQUESTS:
                said, false = WITHOUT_REQUESTS[name], "Nothing was captured"
            result = account.run(*COMMANDS[name])
            everything = " ".join((result.stdout + result.stderr).split())
            assert result.exit_code == code, (name, everything, result.exception)
            assert said in everything, (name, everything)
            assert not false or false not in everything, (name, everything)
            assert "Traceback" not in everything
            assert "fault of claude-hooks-otel" not in everything, (name, everything)
            assert result.exception is None or isinstance(result.exception, SystemExit), name


def _rank(name: str) -> int:
    """Return the place of a command: those that change something come last."""
    return ("install", "uninstall").index(name) + 1 if name in {"install", "uninstall"} else 0
