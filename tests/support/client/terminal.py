"""An interactive session of the real client in a pseudo-terminal: what it shows, and what a person types."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pyte

from tests.support.client.client import World

# Rows and columns.
SIZE = (50, 200)


def skip_first_questions(world: World) -> None:
    """Answer what a first interactive start asks: the theme, the API key, and whether the folder is trusted."""
    path = world.user / ".claude.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    config |= {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "numStartups": 5,
        "customApiKeyResponses": {"approved": [world.environ()["ANTHROPIC_API_KEY"][-20:]], "rejected": []},
        "projects": {str(world.project): {"hasTrustDialogAccepted": True, "projectOnboardingSeenCount": 9}},
    }
    path.write_text(json.dumps(config))


class Terminal:
    """One interactive session, a context manager. Leaving it ends the client.

    Args:
        world: where it runs.
        arguments: of the client.
        environ: variables of this session; None removes one.
    """

    def __init__(self, world: World, *arguments: str, **environ: str | None) -> None:
        self._world = world
        self._arguments = arguments
        self._environ = {name: text for name, text in (world.environ() | environ).items() if text is not None}
        self._screen = pyte.Screen(SIZE[1], SIZE[0])
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self._process = subprocess.Popen(
            ["setsid", "--ctty", str(self._world.binary), *self._arguments],
            cwd=self._world.project, env=self._environ, stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(10)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError:  # the client is gone
                return
            if not part:
                return
            with self._changed:
                self._stream.feed(part)
                self._changed.notify_all()

    @property
    def text(self) -> str:
        """What the terminal shows now. The client redraws only what changed, so the bytes alone do not say it."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, *texts: str, timeout: float = 60.0) -> str:
        """Wait until the terminal has shown one of some texts, and return it.

        Raises:
            TimeoutError: it did not.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for text in texts:
                    if text in self.text:
                        return text
                if (left := deadline - time.monotonic()) <= 0 or self._process.poll() is not None:
                    raise TimeoutError(f"the terminal does not show {texts} but {self.text.strip()!r}")
                self._changed.wait(min(left, 1.0))

    def press_enter(self) -> None:
        """Choose what is selected."""
        os.write(self._master, b"\r")

    def submit(self, text: str) -> None:
        """Type a text and press Enter. The client takes a key that comes in one piece with a text as a part of it."""
        os.write(self._master, text.encode())
        self.wait_for(text)
        self.press_enter()

    def leave(self, timeout: float = 30.0) -> int:
        """End the session with /exit, and return the client's exit code."""
        with contextlib.suppress(OSError):
            self.submit("/exit")
        return self._process.wait(timeout)


def recording(path: Path) -> str:
    """Return a ``statusLine`` command that appends its input to a file, a line for each run, and shows a text."""
    return f"sh -c 'cat >>{path}; echo >>{path}; echo recorded line'"


def limit_headers(limits: Mapping[str, tuple[float, int]]) -> dict[str, str]:
    """Return the headers in which the Messages API reports its limits to a subscriber's client.

    Args:
        limits: ``5h`` and ``7d`` → the share that is used, from 0 to 1, and when the limit begins again, seconds since the epoch.
    """
    found = {"anthropic-ratelimit-unified-status": "allowed"}
    for name, (used, resets) in limits.items():
        head = f"anthropic-ratelimit-unified-{name}"
        found |= {f"{head}-status": "allowed", f"{head}-utilization": str(used), f"{head}-reset": str(resets)}
    return found
