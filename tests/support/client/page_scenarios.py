"""The page follows the real client: what its live view receives, and how long after each hook."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import SECOND
from claude_hooks_otel.web.server import PageServer
from tests.support.client.client import World, wait_until
from tests.support.client.scripted_api import Tool, Turn

# What the page says about a session, and since when.
_STATE = re.compile(r'<span class="badge \w+">(.*?)</span> <time data-since="([0-9.]+)"')
# A state begins at most so long before the hook of the event that begins it, seconds.
_EARLIER = 1.0


class Stream:
    """The server-sent events of a page, as a browser gets them.

    Attributes:
        updates: when each arrived, Unix seconds, and what the page says about each session, since when.
    """

    def __init__(self, server: PageServer) -> None:
        self.updates: list[tuple[float, list[tuple[str, str]]]] = []
        enter = http.client.HTTPConnection("127.0.0.1", server.port)
        enter.request("GET", server.link.partition(str(server.port))[2])
        answer = enter.getresponse()
        cookie = str(answer.getheader("set-cookie")).partition(";")[0]
        answer.read()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        self._connection.request("GET", "/live/events", headers={"Cookie": cookie})
        self._answer = self._connection.getresponse()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for line in self._answer:
                if line.startswith(b"data: "):
                    self.updates.append((time.time(), _STATE.findall(json.loads(line[6:]))))

    @property
    def said(self) -> list[str]:
        """What the page said, one after another. Empty while nothing runs."""
        found: list[str] = []
        for _, states in self.updates:
            text = ", ".join(state for state, _ in states)
            if not found or found[-1] != text:
                found.append(text)
        return found

    def after_call(self, at: float) -> float | None:
        """Return how long after the end of a call the page showed what came next, or nothing any more; None if it did not."""
        return self._first(at, lambda states: all(float(since) > at - _EARLIER for _, since in states))

    def after_end(self, at: float) -> float | None:
        """Return how long after the end of the session the page showed none; None if it did not."""
        return self._first(at, lambda states: not states)

    def _first(self, at: float, shows: Callable[[list[tuple[str, str]]], bool]) -> float | None:
        found = next((when for when, states in self.updates if when > at - _EARLIER and shows(states)), None)
        return None if found is None else max(0.0, found - at)


def page_live(folder: Path) -> dict[str, Any]:
    """Run a session with two tools while a page is open."""
    work = Tool("Bash", {"command": "for each in 1 2 3 4 5 6; do sleep 1; done", "description": "work"})
    scripts = {"work": [Turn("one", [work]), Turn("two", [work]), Turn("end")]}
    with World(folder, scripts, telemetry=False) as world:
        server = PageServer(world.home, os.environ)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            stream = Stream(server)
            wait_until(lambda: stream.updates)
            world.run("script:work")
            wait_until(lambda: stream.said[-1] == "" and len(stream.said) > 2)
        finally:
            server.stop()
            thread.join()
        with contextlib.closing(connect(world.home.store, readonly=True)) as store:
            hooks = store.execute("SELECT event, received_ns FROM ledger ORDER BY received_ns").fetchall()
    calls = [at_ns / SECOND for event, at_ns in hooks if event == "PostToolUse"]
    ends = [at_ns / SECOND for event, at_ns in hooks if event == "SessionEnd"]
    return {
        "said": stream.said,
        "seconds": [*map(stream.after_call, calls), *map(stream.after_end, ends)],
    }
