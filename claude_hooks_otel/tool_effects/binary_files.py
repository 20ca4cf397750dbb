"""Which files are binary to git. The client shows the text of a UTF-16 file, but git counts no lines in it."""

from __future__ import annotations

from pathlib import Path

from claude_hooks_otel.foreign_files import open_foreign
from claude_hooks_otel.tool_effects.line_diff import BINARY_PROBE_BYTES


def is_binary_file(path: Path) -> bool:
    """Return whether a file is binary: whether a NUL is among its first bytes. A file that cannot be read is not."""
    try:
        with open_foreign(path) as file:
            return b"\0" in file.read(BINARY_PROBE_BYTES)
    except OSError:
        return False
