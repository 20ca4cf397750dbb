"""How long after a turn's end its totals are at the receiver: the real client, the default configuration.

Needs the client's npm package (see ``tests/support/client/client.py``); it runs offline, in namespaces of its own.

    python -m bench.latency [--turns 10]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.support import compare, spread

# isort: split
from tests.support.client.client import missing, play

BAR_SECONDS = 3.0


def main() -> int:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10, help="how many turns; the first one starts the daemon")
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
