"""Ctrl-C on the command line."""

from __future__ import annotations

from typing import Final

# The exit code after Ctrl-C, as shells have it.
INTERRUPTED: Final = 130


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error comes from Ctrl-C. In a class that is made just then, Python 3.11 raises a RuntimeError for it."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)
