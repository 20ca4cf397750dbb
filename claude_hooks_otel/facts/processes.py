"""Whether the process of a client still runs."""

from __future__ import annotations

import os


def is_alive(process: int | None) -> bool:
    """Return whether a process with this id runs on this machine. Processes of other containers cannot be seen from here."""
    if not process:
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's process
    return True
