"""Starts daemons quickly: imports everything once, then forks, and the copy runs the daemon's own ``main``.

Reads ``start`` (answers with the process id) and ``wait`` (answers when that process is gone) on standard input.
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
