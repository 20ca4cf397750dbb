"""Measure how long after the end of a turn its totals are at the receiver, with the real client and the default configuration.

The benchmark needs the client's npm package (see ``tests/support/client/client.py``). The client runs offline, in its own namespaces.

    python -m bench.latency [--turns 10]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.support import command_line, compare, spread
from tests.support.client.client import missing, play

BAR_SECONDS = 3.0


def main() -> int:
    """Run the benchmark and print the result."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--turns", type=int, default=10, help="how many turns to measure; the first one starts the daemon"
    )
    options = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-latency-") as folder:
        seconds = play("turn_latency", Path(folder, "world"), str(options.turns))["seconds"]
    print(f"from the Stop hook to the receiver: {spread(seconds, 's')}; allowed: {BAR_SECONDS} s; the slowest counts")
    return 0 if compare(max(seconds), BAR_SECONDS, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
