"""``python -E -P -m claude_hooks_otel.daemon``: what the hooks start. It returns at once where a daemon already runs."""

from __future__ import annotations

import contextlib
import os
import sys

from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home

# The sessions come first: on a busy machine the daemon waits.
NICENESS = 10


def main() -> int:
    """Runs the daemon to its end; 0 also where another one is running."""
    with contextlib.suppress(OSError):
        os.setsid()  # leave the terminal and process group of the session that started it
    try:
        home = Home.from_environment()
        lock = DaemonLock.acquire(home)
    except (AlreadyRunningError, RuntimeError):
        return 0
    with contextlib.suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))
    # Only the one that holds the lock pays for the imports.
    from claude_hooks_otel.daemon.environment import replace_environment  # noqa: PLC0415
    from claude_hooks_otel.daemon.loop import serve  # noqa: PLC0415
    from claude_hooks_otel.daemon.replacement import start_again  # noqa: PLC0415

    try:
        replace_environment(home)
        is_replaced = serve(home, {}, lock)
    finally:
        lock.release()
    if is_replaced:
        start_again()
    return 0


if __name__ == "__main__":
    sys.exit(main())
