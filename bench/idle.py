"""Measure the daemon's share of one core while nothing happens, with open sessions and without.

python -m bench.idle [--seconds 60] [--open 3]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.support import command_line, compare
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import Installation, RecordedSessions, wait_until

BAR_PERCENT = 0.2
# Seconds to wait after the last event: until then, the daemon checks more often, closes sessions and exports.
CALM_AFTER = 15.0


def main() -> int:
    """Measure both cases and print them."""
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure each case")
    parser.add_argument("--open", type=int, default=3, help="how many sessions are open in the second case")
    options = parser.parse_args()
    met = []
    for count in (0, options.open):
        percent = _measure(count, options.seconds)
        print(f"{count} sessions open: {percent:.3f} % of a core over {options.seconds:g} s; allowed: {BAR_PERCENT} %")
        met.append(compare(percent, BAR_PERCENT, 1))
    return 0 if all(met) else 1


def _measure(open_sessions: int, seconds: float) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as folder, OtlpReceiver() as receiver:
        installation = Installation(Path(folder), {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint})
        sessions = RecordedSessions(["subagents"], Path(folder, "projects"))
        left_open: set[str] = set()
        for hook in sessions.hooks:
            session = hook.recorded.fields["session_id"]
            if len(left_open) < open_sessions:
                left_open.add(session)
            if not (hook.event == "SessionEnd" and session in left_open):
                installation.run_hook(hook)
        try:
            process = psutil.Process(installation.start())
            wait_until(lambda: not installation.waiting())
            time.sleep(CALM_AFTER)
            before = _cpu_seconds(process)
            time.sleep(seconds)
            return 100 * (_cpu_seconds(process) - before) / seconds
        finally:
            installation.close()


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of all threads so far, in seconds.

    On Linux it comes from the scheduler's own clock: the first field of /proc/PID/task/TID/schedstat, in nanoseconds. The usual
    figures count whole ticks. They charge a process that a timer wakes for ticks that it did not use.
    """
    threads = list(Path(f"/proc/{process.pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(path.read_text().split()[0]) for path in threads) / 1e9
    return sum(process.cpu_times()[:2])


if __name__ == "__main__":
    sys.exit(main())
