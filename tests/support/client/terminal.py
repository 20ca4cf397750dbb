"""An interactive session of the real client in a terminal (tmux)."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from typing import Self

from tests.support.client.client import World


class Terminal:
    """A terminal with the client, a context manager. It works only inside the namespaces of a world."""

    def __init__(self, world: World, *arguments: str) -> None:
        self._world = world
        self._arguments = arguments
        self._socket = str(world.folder / "tmux")

    def __enter__(self) -> Self:
        world = self._world
        answered = {"hasTrustDialogAccepted": True, "projectOnboardingSeenCount": 9}
        environ = world.environ()
        key = environ["ANTHROPIC_API_KEY"]
        (world.user / ".claude.json").write_text(
            json.dumps(
                {
                    "hasCompletedOnboarding": True,
                    "theme": "dark",
                    "customApiKeyResponses": {"approved": [key[-20:]], "rejected": []},
                    "projects": {str(world.project): answered},
                }
            )
        )
        command = shlex.join([str(world.binary), "--model", "claude-sonnet-4-5", *self._arguments])
        variables = " ".join(shlex.quote(f"{name}={value}") for name, value in environ.items())
        script = world.folder / "terminal.sh"
        script.write_text(
            f"cd {shlex.quote(str(world.project))}\nenv -i {variables} {command}\necho the client has ended\nsleep 60\n"
        )
        self._tmux("new-session", "-d", "-s", "s", "-x", "160", "-y", "50", f"bash {script}")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        environ = {name: value for name, value in os.environ.items() if name != "TMUX"} | {
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        command = ["tmux", "-u", "-S", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False).stdout

    def screen(self) -> str:
        """Return what the terminal shows."""
        return self._tmux("capture-pane", "-p", "-t", "s")

    def wait_for(self, pattern: str, timeout: float = 40.0) -> str:
        """Wait until the screen has a text, a regular expression. Return the screen."""
        deadline = time.monotonic() + timeout
        while not re.search(pattern, shown := self.screen()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pattern} was not shown within {timeout} s:\n{shown}")
            time.sleep(0.1)
        return shown

    def submit(self, text: str) -> None:
        """Type a prompt and send it."""
        self._tmux("send-keys", "-t", "s", "-l", text)
        self.wait_for(re.escape(text))
        self._tmux("send-keys", "-t", "s", "Enter")
