"""Waits for threads of the package to end."""

from __future__ import annotations

import threading


def wait_for_the_end_of(name: str, timeout: float = 30.0) -> None:
    """Wait until no thread of this name runs."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(timeout)
            assert not thread.is_alive()
