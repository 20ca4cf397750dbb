"""Compare a session of the real client with our hooks and without: ten tool calls, in turns, while the daemon runs.

The benchmark needs the client's npm package (see ``tests/support/client/client.py``). The client runs offline, in its own namespaces.

    python -m bench.session [--runs 8]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from bench.support import command_line, compare, spread
from tests.support.client.client import missing, play

BAR = 1.10


def main() -> int:
    """Run the benchmark and print the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=8, help="how often to run each side")
    options = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-session-") as folder:
        found = play("ten_tool_calls", Path(folder, "world"), str(options.runs))
    sides = found["seconds"]
    print(f"with our hooks: {spread(sides['with'], 's')}")
    print(f"with no hooks:  {spread(sides['without'], 's')}")
    print(f"with `true` on the same events, the least that any hook costs the client: {spread(sides['idle'], 's')}")
    print(f"{found['tool_calls']} of {10 * (options.runs + 1)} tool calls are at the receiver")
    per_session = found["daemon_cpu_seconds"] / (options.runs + 1)
    print(f"the daemon, including its start: {per_session * 1000:.0f} ms of CPU per session")
    return 0 if compare(statistics.median(sides["with"]), statistics.median(sides["without"]), BAR) else 1


if __name__ == "__main__":
    sys.exit(main())
