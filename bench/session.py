"""What our hooks cost a whole session: the real client, ten tool calls, with and without them in turns, the daemon running.

Needs the client's npm package (see ``tests/support/client/client.py``); it runs offline, in namespaces of its own.

    python -m bench.session [--runs 8]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bench.support import compare, spread

# isort: split
from tests.support.client.client import missing, play

BAR = 1.10


def main() -> int:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8, help="of each side")
    options = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-session-") as folder:
        found = play("ten_tool_calls", Path(folder, "world"), str(options.runs))
    sides = found["seconds"]
    print(f"with our hooks: {spread(sides['with'], 's')}")
    print(f"with no hooks:  {spread(sides['without'], 's')}")
    print(f"with `true` on the same events, which is what the client pays for any hook: {spread(sides['idle'], 's')}")
    print(f"{found['tool_calls']} of {10 * (options.runs + 1)} tool calls are at the receiver")
    per_session = found["daemon_cpu_seconds"] / (options.runs + 1)
    print(f"the daemon, its start included: {per_session * 1000:.0f} ms of CPU a session")
    return 0 if compare(statistics.median(sides["with"]), statistics.median(sides["without"]), BAR) else 1


if __name__ == "__main__":
    sys.exit(main())
