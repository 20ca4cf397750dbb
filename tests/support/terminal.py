"""A real terminal: a tmux server of its own with one pane, for commands that draw on a screen."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

# What the pane shows when the command has ended, before its exit code and what is still off in the terminal's mode.
ENDED = "[ended with"


def missing() -> str | None:
    """Return why there is no terminal here; None if there is one."""
    return None if shutil.which("tmux") else "no tmux"


class Terminal:
    """A command in a terminal, a context manager.

    Args:
        folder: for the server's socket.
        command: the command and its arguments.
        environ: its whole environment.
        cwd: its working directory.
        size: columns and lines.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        cwd: Path,
        size: tuple[int, int] = (120, 40),
    ) -> None:
        self._socket = folder / f"tmux-{time.monotonic_ns()}"
        given = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in environ.items()), *command])
        self._script = f"cd {shlex.quote(str(cwd))}; {given}; echo '{ENDED}' $? $(stty -a | grep -ow -e -icanon -e -echo)]; sleep 600"
        self._size = size

    def __enter__(self) -> Self:
        columns, lines = map(str, self._size)
        self._tmux("new-session", "-d", "-s", "s", "-x", columns, "-y", lines, self._script)
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server", check=False)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        command = ["tmux", "-u", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check).stdout

    def submit(self, text: str) -> None:
        """Type a text and press Enter. The client takes a key that comes in one piece with a text as a part of it."""
        self._tmux("send-keys", "-t", "s", "-l", "--", text)
        self.wait_for(text)
        self.keys("Enter")

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names. Anything that is no name is typed."""
        for key in keys:
            self._tmux("send-keys", "-t", "s", key)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal."""
        self._tmux("resize-window", "-t", "s", "-x", str(columns), "-y", str(lines))

    def screen(self, *, styles: bool = False) -> str:
        """Return what the terminal shows; with ``styles``, with its escape sequences."""
        return self._tmux("capture-pane", "-p", "-t", "s", *(["-e"] if styles else []))

    def wait_for(self, *texts: str, timeout: float = 60, gone: bool = False) -> str:
        """Wait until the screen shows one of some texts, or no longer shows any. Return the screen.

        Raises:
            TimeoutError: it does not.
        """
        deadline = time.monotonic() + timeout
        while any(text in (screen := self.screen()) for text in texts) == gone:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{texts} {'stays' if gone else 'is not shown'}:\n{screen}")
            time.sleep(0.05)
        return screen

    def answer(self, question: str, key: str, timeout: float = 60) -> None:
        """Press a key until a question is gone: the client ignores keys for a moment after it has drawn one.

        Raises:
            TimeoutError: the question stays.
        """
        self.wait_for(question, timeout=timeout)
        deadline = time.monotonic() + timeout
        while question in self.screen():
            self.keys(key)
            with contextlib.suppress(TimeoutError):
                self.wait_for(question, timeout=2, gone=True)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{question!r} stays:\n{self.screen()}")

    def exit_code(self, timeout: float = 60) -> int:
        """Wait until the command ends, and return its exit code."""
        return int(self.wait_for(ENDED, timeout=timeout).partition(ENDED)[2].split()[0])

    @property
    def process(self) -> int:
        """The id of the pane's shell."""
        return int(self._tmux("display-message", "-p", "-t", "s", "#{pane_pid}"))
