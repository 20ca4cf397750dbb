"""Asking a running daemon for a flush: the request is a file in a folder, and so is the answer."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from claude_hooks_otel.home.paths import Home

_REQUEST, _ANSWER = ".request", ".answer"
# Seconds between checks for the answer.
_POLL = 0.02
# Seconds after which an unread answer is deleted.
_FORGOTTEN_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class FlushAnswer:
    """How a flush ended.

    Attributes:
        exporters: maps each exporter's title, such as ``otlp traces``, to None if everything was accepted, otherwise to the reason.
        not_sent: what an endpoint does not accept and no variable asks for: title → reason.
        is_behind: whether a transcript is not read to its end yet, because it is large or its file system hangs.
    """

    exporters: Mapping[str, str | None] = field(default_factory=dict)
    not_sent: Mapping[str, str] = field(default_factory=dict)
    is_behind: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything was read and accepted."""
        return not self.is_behind and not any(self.exporters.values())


class FlushRequests:
    """The daemon's side."""

    def __init__(self, home: Home) -> None:
        self._folder = home.flush_requests
        self._waiting: list[Path] = []

    def waiting(self) -> bool:
        """Return whether a command waits for a flush."""
        self._waiting = []
        with contextlib.suppress(FileNotFoundError):
            self._waiting = [Path(entry.path) for entry in os.scandir(self._folder) if entry.name.endswith(_REQUEST)]
        return bool(self._waiting)

    def answer(self, answer: FlushAnswer) -> None:
        """Tell every waiting command how the flush ended."""
        text = json.dumps(asdict(answer))
        for request in self._waiting:
            file = request.with_suffix(_ANSWER)
            draft = file.with_suffix(".draft")
            draft.write_text(text)
            draft.rename(file)
            request.unlink(missing_ok=True)
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _FORGOTTEN_AFTER:
                    Path(entry.path).unlink()


def request_flush(home: Home, timeout: float) -> FlushAnswer:
    """Ask the running daemon for a flush and wait for its answer.

    Args:
        home: the daemon's home.
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
                return FlushAnswer(**json.loads(answer.read_text()))
            time.sleep(_POLL)
    finally:
        request.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    raise TimeoutError(f"The daemon did not answer within {timeout:g} s. Look at {home.log}.")
