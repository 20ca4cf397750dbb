"""Compare sessions of the real client with our hooks and without: ten tool calls, in turns, while the daemon runs.

The sides are no hooks, both registrations (`install --events full` and `light`), and `true` on the events of each. The benchmark needs
the client's npm package (see ``tests/support/client/client.py``). The client runs offline, in its own namespaces.

    python -m bench.session [--runs 8]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from bench.support import command_line, compare, spread
from tests.support.client.client import missing, play

SIDES = {
    "none": "no hooks",
    "full": "full registration",
    "idle full": "`true` on the events of full registration",
    "light": "light registration",
    "idle light": "`true` on the events of light registration",
}
# (a side, the side that it is compared with, the bar): with every hook, ours cost what the client takes for any hook.
RATIOS = (("light", "none", 1.05), ("full", "idle full", 1.03), ("light", "idle light", 1.03))


def main() -> int:
    """Run the benchmark and print the comparisons."""
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=8, help="how often to run each side")
    options = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-session-") as folder:
        found = play("ten_tool_calls", Path(folder, "world"), str(options.runs), timeout=60 + 40 * (options.runs + 1))
    seconds: dict[str, list[float]] = found["seconds"]
    for side, name in SIDES.items():
        print(f"{name}: {spread(seconds[side], 's', 3)}")
    print(f"{found['tool_calls']} of {10 * found['sessions']} tool calls are at the receiver")
    per_session = found["daemon_cpu_seconds"] / found["sessions"]
    print(f"the daemon, including its start: {per_session * 1000:.0f} ms of CPU per session")
    print("ratios: the median of those of each round")
    met = []
    for side, other, bar in RATIOS:
        print(f"{SIDES[side]} against {SIDES[other]}, ", end="")
        met.append(compare(_ratio(seconds[side], seconds[other]), 1.0, bar))
    print(f"full registration against no hooks: {_ratio(seconds['full'], seconds['none']):.3f}")
    return 0 if all(met) else 1


def _ratio(ours: list[float], others: list[float]) -> float:
    """Return the median of the ratios of sessions that ran right after each other, so that a busy minute affects both."""
    return statistics.median(one / other for one, other in zip(ours, others, strict=True))


if __name__ == "__main__":
    sys.exit(main())
