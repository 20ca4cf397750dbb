"""Measure how long after a hook its event is in the store, where the live view reads it, with the real client.

The client runs offline, in its own namespaces. Long tools make the daemon calm in between. The first events of the client wait until the
daemon has started; they are left out. A tool's beginning has no hook: the time is from its line in the transcript.

    python -m bench.live
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.support import command_line, compare, spread
from tests.support.client.client import missing, play

BAR_SECONDS = 1.5


def main() -> int:
    """Run the benchmark and print the result."""
    command_line(__doc__).parse_args()
    if reason := missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
        found = play("live_states", Path(folder, "world"))
    starting = ("SessionStart", "UserPromptSubmit")
    hooks = [seconds for event, each in found["seconds"].items() if event not in starting for seconds in each]
    tools = found["tools"][1:]
    print(f"from the hook to the store: {spread(hooks, 's')}; allowed: {BAR_SECONDS} s; the slowest counts")
    print(
        f"from the beginning of a tool to the store: {spread(tools, 's')}; allowed: {BAR_SECONDS} s; the slowest counts"
    )
    print(f"from the kill of the client to its absence: {found['gone_after']:.3f} s")
    met = [compare(max(seconds), BAR_SECONDS, 1) for seconds in (hooks, tools)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
