"""Starts daemons quickly: the imports are done once, and each daemon is a fork that runs the daemon's ``main``.

The commands come on standard input. ``start`` answers with the process id, ``wait`` when that process is gone.
"""

from __future__ import annotations

import os
import sys

from claude_hooks_otel.daemon.__main__ import main

pid = 0
for line in sys.stdin:
    if line.strip() == "start":
        pid = os.fork()
        if not pid:
            os._exit(main())
        print(pid, flush=True)
    else:
        os.waitpid(pid, 0)
        print("gone", flush=True)
