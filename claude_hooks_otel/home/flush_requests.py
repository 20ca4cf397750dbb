"""Asking a running daemon for a flush: the request is a file in a folder, and so is the answer."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.timeline import DRAIN_FOR, FLUSH_TIMEOUT

_REQUEST, _ANSWER = ".request", ".answer"
# Seconds between checks for the answer.
_POLL = 0.02
# How many such checks there are for each check whether the daemon still runs.
_LOOKS_PER_CHECK = 10
# Seconds that the daemon has for reading before it delivers.
_READING = 2 * DRAIN_FOR
# Seconds after which an unread answer is deleted.
_FORGOTTEN_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class FlushAnswer:
    """How a flush ended.

    Attributes:
        exporters: maps each exporter's title, such as ``otlp traces``, to None if everything was accepted, otherwise to the reason.
        not_sent: what an endpoint does not accept and no variable asks for: title → reason.
        is_behind: whether a transcript is not read to its end yet, because it is large or its file system hangs.
        accepted: title → how many series, items or measurements the endpoint accepted during this flush.
        given_up: title → how many the endpoint refused for good during this flush.
        config_error: why the configuration file cannot be used. Then all this is about the last good one.
    """

    exporters: Mapping[str, str | None] = field(default_factory=dict)
    not_sent: Mapping[str, str] = field(default_factory=dict)
    is_behind: bool = False
    accepted: Mapping[str, int] = field(default_factory=dict)
    given_up: Mapping[str, int] = field(default_factory=dict)
    config_error: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything was read and accepted."""
        failed = any(self.exporters.values()) or self.not_sent or self.given_up or self.config_error
        return not (self.is_behind or failed)


class DaemonEndedError(Exception):
    """The daemon ended before it answered."""


class FlushRequests:
    """The daemon's side."""

    def __init__(self, home: Home) -> None:
        self._folder = home.flush_requests
        self._waiting: list[Path] = []

    @property
    def timeout(self) -> float:
        """How long the commands that wait want to wait for endpoints, in seconds: the longest time."""
        return max(map(_timeout_of, self._waiting), default=FLUSH_TIMEOUT)

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


def _timeout_of(request: Path) -> float:
    try:
        return float(request.read_text())
    except (OSError, ValueError):
        return FLUSH_TIMEOUT


def request_flush(home: Home, timeout: float) -> FlushAnswer:
    """Ask the running daemon for a flush and wait for its answer.

    Args:
        home: the daemon's home.
        timeout: how long the daemon waits for endpoints, in seconds. Its answer may take a little longer.

    Raises:
        DaemonEndedError: it ended meanwhile.
        TimeoutError: no answer came in time.
    """
    home.create()
    name = uuid.uuid4().hex
    request, answer = (home.flush_requests / f"{name}{suffix}" for suffix in (_REQUEST, _ANSWER))
    draft = request.with_suffix(".draft")
    draft.write_text(f"{timeout}")
    draft.rename(request)
    begin = time.monotonic()
    try:
        for look in itertools.count(1):
            with contextlib.suppress(FileNotFoundError):
                return _answer_of(answer)
            if time.monotonic() - begin > timeout + _READING:
                break
            if look % _LOOKS_PER_CHECK == 0 and not is_running(home):
                with contextlib.suppress(FileNotFoundError):
                    return _answer_of(answer)
                raise DaemonEndedError
            time.sleep(_POLL)
    finally:
        request.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    raise TimeoutError(
        f"The daemon is still reading what was captured, after {time.monotonic() - begin:.0f} s. Nothing is lost. "
        f"Run `claude-hooks-otel status` to see what waits, or look at {home.log}."
    )


def _answer_of(file: Path) -> FlushAnswer:
    """Return the answer in a file. Fields of another version are left out.

    Raises:
        FileNotFoundError: there is none yet.
    """
    known = {field.name for field in fields(FlushAnswer)}
    return FlushAnswer(**{name: value for name, value in json.loads(file.read_text()).items() if name in known})
