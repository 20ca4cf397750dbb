"""A notification for people, and the desktop that shows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Seconds that a program of the desktop may take.
DESKTOP_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification.

    Attributes:
        id: the same for each try to send it, so that a receiver can recognize it.
        title: a few words.
        text: one or a few sentences.
        is_urgent: whether something is used up.
        details: the fields of the format ``json``.
    """

    id: str
    title: str
    text: str
    is_urgent: bool
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """How a try ended.

    Attributes:
        error: why it was not accepted, without any address; None if it was.
        is_final: whether another try makes no sense.
    """

    error: str | None = None
    is_final: bool = False


def show_on_desktop(notification: Notification, timeout: float = DESKTOP_TIMEOUT) -> Sent:
    """Show a notification with ``notify-send`` (Linux) or ``osascript`` (macOS), within ``timeout`` seconds."""
    command = _desktop_command(notification)
    if (program := shutil.which(command[0])) is None:
        return Sent(f"{command[0]} is not installed", is_final=True)
    try:
        done = subprocess.run(
            [*_with_message_bus(), program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Sent(f"{command[0]} did not end in time")
    except OSError as error:
        return Sent(f"{command[0]} cannot be started: {error.strerror}")
    reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0][:200]
    return Sent(f"{command[0]}: {reason or f'exit code {done.returncode}'}") if done.returncode else Sent()


def _desktop_command(notification: Notification) -> list[str]:
    if sys.platform == "darwin":
        # The texts are arguments: they are never a part of the script.
        script = "display notification (item 2 of argv) with title (item 1 of argv)"
        lines = ("on run argv", script, "end run")
        return ["osascript", *(part for line in lines for part in ("-e", line)), notification.title, notification.text]
    urgency = "critical" if notification.is_urgent else "normal"
    return [
        "notify-send", "--app-name=claude-hooks-otel", f"--urgency={urgency}", "--", notification.title, notification.text,
    ]  # fmt: skip


def _with_message_bus() -> list[str]:
    """Return the beginning of a command that gets the user's message bus, whose address a daemon that a hook starts does not have."""
    folder = Path(f"/run/user/{os.getuid()}")
    if not (folder / "bus").exists():
        return []
    return ["env", f"XDG_RUNTIME_DIR={folder}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={folder}/bus"]
