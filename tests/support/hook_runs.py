"""Runs ``hooks/emit`` as the client does, with everything that it starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources import registration
from tests.support.places import EMIT


def usual_home(user: Path) -> Home:
    home = Home.usual({"HOME": str(user)})
    assert home is not None
    return home


def run_hook(
    user: Path,
    shell: str = "sh",
    path: str = "/usr/bin:/bin",
    emit: Path = EMIT,
    event: str = "SessionStart",
    payload: bytes = b"{}",
    **variables: str,
) -> None:
    """Run a hook and everything that it starts to the end."""
    ended, held = os.pipe()
    environ = {"PATH": path, "HOME": str(user), **variables}
    command = [shell, "-c", registration.command(event, f'"{emit}"')]
    done = subprocess.run(
        command, input=payload, env=environ, capture_output=True, pass_fds=[held], check=False, timeout=60
    )
    os.close(held)
    os.read(ended, 1)  # returns when the last process that inherited the other end has ended
    os.close(ended)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
