"""Scenarios of the live view. The client works, and the store is asked again and again what runs now."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claude_hooks_otel.report.live import LiveSession, now
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.timeline import BUSY_FOR
from claude_hooks_otel.units import SECOND
from tests.support.client.client import World
from tests.support.client.scripted_api import Tool, Turn, Usage

# Seconds between two looks at the store.
LOOK = 0.01


class Watch:
    """What the live view shows, and how late.

    Attributes:
        shown: each state with its tool and the number of sub-agents, in the order in which they appear.
        seconds: how long after each event it was in the store.
        tools: how long after each tool call began it was shown.
    """

    def __init__(self, world: World) -> None:
        self._home = world.home
        self.shown: list[tuple[str, str | None, int]] = []
        self.seconds: dict[str, list[float]] = {}
        self.tools: list[float] = []
        self.last: list[LiveSession] = []
        self._known: set[tuple[str, int]] = set()
        self._begun: set[tuple[str | None, int | None]] = set()

    def until(self, condition: Callable[[], Any], timeout: float = 90) -> None:
        """Look until a condition is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s; shown so far: {self.shown}")
            with (
                contextlib.suppress(sqlite3.OperationalError),
                contextlib.closing(connect(self._home.store, readonly=True)) as store,
            ):
                self._look(store)
            time.sleep(LOOK)

    def _look(self, store: sqlite3.Connection) -> None:
        at_ns = time.time_ns()
        for event, received_ns in store.execute("SELECT event, received_ns FROM ledger"):
            if (event, received_ns) not in self._known:
                self._known.add((event, received_ns))
                self.seconds.setdefault(event, []).append((at_ns - received_ns) / SECOND)
        self.last = now(store, at_ns)
        for live in self.last:
            state = (str(live.state), live.tool, live.subagents_running)
            if not self.shown or self.shown[-1] != state:
                self.shown.append(state)
            if live.tool and (live.tool, live.tool_since_ns) not in self._begun:
                self._begun.add((live.tool, live.tool_since_ns))
                self.tools.append((at_ns - (live.tool_since_ns or 0)) / SECOND)


def _bash(command: str) -> Tool:
    return Tool("Bash", {"command": command, "description": "work"})


def _seconds(number: int) -> Tool:
    """Return a command that takes some seconds. The client refuses a long ``sleep``."""
    return _bash(f"for each in $(seq {number}); do sleep 1; done")


def live_states(folder: Path) -> dict[str, Any]:
    """Run a session with tools, parallel tools and a sub-agent. Then kill one in a tool. The long tools make the daemon calm."""
    calm = _seconds(round(BUSY_FOR) + 4)
    agent = Tool("Agent", {"description": "sub", "prompt": "script:sub", "subagent_type": "general-purpose"})
    scripts = {
        "work": [
            Turn("one", [calm], Usage(input=50_000)),
            Turn("two", [_seconds(2), Tool("Read", {"file_path": str(folder / "shop" / "calc.py")})]),
            Turn("three", [agent]),
            Turn("four", [calm], Usage(input=100_000)),
            Turn("end"),
        ],
        "sub": [Turn("sub", [_seconds(2)]), Turn("done")],
        "long": [Turn("forever", [_seconds(300)])],
    }
    with World(folder, scripts, telemetry=False) as world:
        watch = Watch(world)
        process = world.start("script:work")
        watch.until(lambda: process.poll() is not None)
        watch.until(lambda: not watch.last)
        states, cost = list(watch.shown), watch.last
        killed = world.start("script:long")
        watch.until(lambda: any(live.tool == "Bash" for live in watch.last))
        [before] = watch.last
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
        began = time.monotonic()
        watch.until(lambda: not watch.last)
        return {
            "states": states, "left": len(cost), "seconds": watch.seconds, "tools": watch.tools,
            "gone_after": time.monotonic() - began, "code": process.returncode,
            "agent": [before.agent, before.project, before.model, before.context_percent, before.cost],
        }  # fmt: skip


def live_dialog(folder: Path) -> dict[str, Any]:
    """Run an interactive session that asks for permission. It is allowed once, and refused once."""
    scripts = {
        "ask": [Turn("one", [_bash("/usr/bin/python3 -c 'import time; time.sleep(1)'")]), Turn("done")],
        "no": [Turn("one", [_bash("/usr/bin/python3 -c 'print(1)'")]), Turn("done")],
    }
    with World(folder, scripts, telemetry=False) as world:
        watch = Watch(world)
        with world.terminal("--model", "claude-sonnet-4-5") as terminal:
            terminal.wait_for("? for shortcuts")
            watch.until(lambda: watch.last and watch.last[0].state == "idle")
            terminal.keys("script:ask", "Enter")
            watch.until(lambda: watch.last and watch.last[0].state == "waiting for permission")
            terminal.answer("Do you want to proceed", "Enter")
            watch.until(lambda: watch.last and watch.last[0].state == "idle")
            asked = list(watch.shown)
            terminal.keys("script:no", "Enter")
            watch.until(lambda: watch.last and watch.last[0].state == "waiting for permission")
            terminal.answer("Do you want to proceed", "Escape")
            watch.until(lambda: watch.last and watch.last[0].state == "idle")
            terminal.keys("/exit", "Enter")
            watch.until(lambda: not watch.last)
            return {"states": watch.shown, "asked": asked, "seconds": watch.seconds}
