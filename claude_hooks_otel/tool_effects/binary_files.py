"""Which files are binary to git. The client shows the text of a UTF-16 file, but git counts no lines in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from claude_hooks_otel.tool_effects.line_diff import BINARY_PROBE_BYTES


def is_binary_file(path: Path) -> bool:
    """Return whether a file is binary: whether a NUL is among its first bytes. A file that cannot be read is not."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and b"\0" in os.read(descriptor, BINARY_PROBE_BYTES)
    except OSError:
        return False
    finally:
        os.close(descriptor)
