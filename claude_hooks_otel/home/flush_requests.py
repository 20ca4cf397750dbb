"""How a person (or a script) asks a running daemon for a flush: a file in a folder, answered by another.

The answer is JSON: ``{"ok": true, "exporters": {"otlp": null}}``, an error text per exporter that failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_hooks_otel.home.paths import Home

_REQUEST, _ANSWER = ".request", ".answer"
# Seconds between looks for the answer.
_POLL = 0.02
# A request that nobody came back for within this time, in seconds, is forgotten.
_FORGOTTEN_AFTER = 3600.0


class FlushRequests:
    """The daemon's side."""

    def __init__(self, home: Home) -> None:
        self._folder = home.flush_requests
        self._waiting: list[Path] = []

    def waiting(self) -> bool:
        """Whether somebody asks."""
        self._waiting = []
        with contextlib.suppress(FileNotFoundError):
            self._waiting = [Path(entry.path) for entry in os.scandir(self._folder) if entry.name.endswith(_REQUEST)]
        return bool(self._waiting)

    def answer(self, outcome: Mapping[str, str | None]) -> None:
        """Tells everybody who asked how it went: for each exporter None, or why it failed."""
        text = json.dumps({"ok": not any(outcome.values()), "exporters": dict(outcome)})
        for request in self._waiting:
            answer = request.with_suffix(_ANSWER)
            draft = answer.with_suffix(".draft")
            draft.write_text(text)
            draft.rename(answer)
            request.unlink(missing_ok=True)
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _FORGOTTEN_AFTER:
                    Path(entry.path).unlink()


def request_flush(home: Home, timeout: float) -> dict[str, Any]:
    """Asks the running daemon for a flush and waits for its answer.

    Args:
        home: whose daemon.
        timeout: seconds to wait.

    Raises:
        TimeoutError: no answer came in time.
    """
    home.create()
    name = uuid.uuid4().hex
    request, answer = (home.flush_requests / f"{name}{suffix}" for suffix in (_REQUEST, _ANSWER))
    request.touch(mode=0o600)
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                value: dict[str, Any] = json.loads(answer.read_text())
                return value
            time.sleep(_POLL)
    finally:
        request.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    raise TimeoutError(f"the daemon did not answer within {timeout:g} s: look at {home.log}")
