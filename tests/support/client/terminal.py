"""An interactive session of the real client in a pseudo-terminal: what it shows, and what a person types."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from typing import Self

from tests.support.client.client import World

# Everything that a terminal does not show as text: control sequences, titles, links, and single control characters.
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x09\x0b-\x1f\x7f]")


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
        self._shown = bytearray()
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self._process = subprocess.Popen(
            [str(self._world.binary), *self._arguments],
            cwd=self._world.project, env=self._environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
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
                self._shown += part
                self._changed.notify_all()

    @property
    def text(self) -> str:
        """Everything that was shown so far, without control sequences and without spaces: the client moves the cursor instead of writing spaces."""
        return re.sub(r"\s+", "", _CONTROL.sub(b"", bytes(self._shown)).decode(errors="replace"))

    @property
    def raw(self) -> bytes:
        """Everything that was written to the terminal so far."""
        return bytes(self._shown)

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Wait until the terminal has shown a text.

        Raises:
            TimeoutError: it did not.
        """
        wanted, deadline = re.sub(r"\s+", "", text), time.monotonic() + timeout
        with self._changed:
            while wanted not in self.text:
                if (left := deadline - time.monotonic()) <= 0 or self._process.poll() is not None:
                    raise TimeoutError(f"the terminal does not show {text!r} but {self.text[-3000:]!r}")
                self._changed.wait(min(left, 1.0))

    def submit(self, text: str) -> None:
        """Type a text and press Enter. The client takes a key that comes in one piece with a text as a part of it."""
        os.write(self._master, text.encode())
        self.wait_for(text)
        os.write(self._master, b"\r")

    def leave(self, timeout: float = 30.0) -> int:
        """End the session with /exit, and return the client's exit code."""
        with contextlib.suppress(OSError):
            self.submit("/exit")
        return self._process.wait(timeout)


def recording(path: Path) -> str:
    """Return a ``statusLine`` command that appends its input to a file, a line for each run, and shows a text."""
    return f"sh -c 'cat >>{path}; echo >>{path}; echo recorded line'"
