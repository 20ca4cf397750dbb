"""Starts daemons quickly: the imports are done once, and each daemon is a fork that works like one in the foreground.

The commands come on standard input. ``start`` answers with the process id, ``wait`` when that process is gone.
"""

from __future__ import annotations

import os
import sys

from claude_hooks_otel.daemon.loop import serve
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home


def run() -> int:
    """Run the daemon of the environment's home to its end."""
    os.setsid()
    home = Home.from_environment()
    try:
        lock = DaemonLock.acquire(home)
    except AlreadyRunningError:
        return 0
    try:
        serve(home, dict(os.environ), lock)
    finally:
        lock.release()
    return 0


pid = 0
for line in sys.stdin:
    if line.strip() == "start":
        pid = os.fork()
        if not pid:
            os._exit(run())
        print(pid, flush=True)
    else:
        os.waitpid(pid, 0)
        print("gone", flush=True)
