"""Whether the package was installed again while the daemon runs, and how the new version takes over."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import claude_hooks_otel


def installed_version() -> tuple[int, int] | None:
    """Return what changes when the package is installed again; None while it is not installed."""
    try:
        status = Path(claude_hooks_otel.__file__).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def start_again() -> NoReturn:
    """Replace this process by the command that started it, with the package that is installed now."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 — no shell is wanted
