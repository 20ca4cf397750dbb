"""Measure an hour without an endpoint: the daemon writes spans while nothing listens, then the endpoint comes back.

The benchmark prints how long the delivery takes, what arrives, and how much memory the daemon needs, next to a daemon whose endpoint
is always there. The daemon's own loop runs in another process. The benchmark advances that process's clock, so the hour passes in
minutes.

    python -m bench.outage [--spans 50000] [--protocol grpc]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.support import command_line, compare, events, fill, make_spool, resident_megabytes
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import spans

PORTION = 5000  # events between two measurements
HOUR = 3600.0  # seconds
# Memory with the outage may exceed memory without it by this factor.
BAR_MEMORY = 1.15
# Seconds in which everything must arrive once the endpoint is back.
TIMEOUT_S = 600.0


@dataclass
class Measured:
    """The results of one run.

    Attributes:
        written: Spans that the daemon wrote.
        arrived: Spans that the receiver got.
        different: Different span ids among them.
        megabytes: The greatest resident memory.
        waiting_megabytes: The greatest amount that waited for the endpoint.
        seconds: How long the rest of the delivery took.
    """

    written: int
    arrived: int
    different: int
    megabytes: float
    waiting_megabytes: float
    seconds: float


def main() -> int:
    """Run both cases and print them."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--spans", type=int, default=50_000, help="how many spans to write before the endpoint comes back"
    )
    parser.add_argument("--protocol", choices=("grpc", "http/protobuf"), default="grpc")
    parser.add_argument("--daemon", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.daemon:
        return _daemon(Path(options.daemon))
    present, away = (_measure(options.spans, options.protocol, is_away=is_away) for is_away in (False, True))
    for name, run in (("endpoint there", present), ("endpoint away for an hour", away)):
        print(
            f"{name}: {run.written:,} spans written, {run.waiting_megabytes:.0f} MB waiting at most, {run.arrived:,} arrived, "
            f"{run.different:,} different; complete after {run.seconds:.1f} s; memory at most {run.megabytes:.1f} MB"
        )
    complete = all(run.written == run.arrived == run.different for run in (present, away))
    print("every span arrived once" if complete else "SPANS ARE MISSING OR ARRIVED TWICE")
    print(f"memory: {away.megabytes:.1f} MB with the outage, {present.megabytes:.1f} MB without")
    return 0 if compare(away.megabytes, present.megabytes, BAR_MEMORY) and complete else 1


def _measure(wanted: int, protocol: str, *, is_away: bool) -> Measured:
    with tempfile.TemporaryDirectory(prefix="bench-outage-") as folder, OtlpReceiver() as receiver:
        endpoint = receiver.grpc if protocol == "grpc" else receiver.http
        home = Path(folder, "home")
        make_spool(home)
        environ = {
            "PATH": "/usr/bin:/bin",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        if is_away:
            endpoint.go_away()
        command = [sys.executable, "-m", "bench.outage", "--daemon", str(home)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as child:
            source = events(Path(folder, "projects"))
            state = _tell(child, 0.0)
            greatest = waiting = 0.0
            while state["written"] < wanted:
                fill(home / "spool", source, PORTION)
                state = _tell(child, HOUR / 50)
                greatest, waiting = max(greatest, state["megabytes"]), max(waiting, state["waiting"] / 1e6)
            if is_away:
                endpoint.come_back()
            began = time.monotonic()
            while state["waiting"] and time.monotonic() - began < TIMEOUT_S:
                state = _tell(child, 0.0)
                greatest = max(greatest, state["megabytes"])
            seconds = time.monotonic() - began
            assert child.stdin is not None
            child.stdin.close()
        found = [span.span_id for span in spans(receiver)]
        return Measured(int(state["written"]), len(found), len(set(found)), greatest, waiting, seconds)


def _tell(child: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Let the daemon take in what is in the spool, then advance its clock. Return its state."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{seconds}\n")
    child.stdin.flush()
    found: dict[str, float] = json.loads(child.stdout.readline())
    return found


def _daemon(home: Path) -> int:
    """Run the daemon's loop in the other process, once for each line on standard input."""
    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415 -- only the measured process imports it
    from claude_hooks_otel.home.paths import Home  # noqa: PLC0415
    from claude_hooks_otel.sources.spool import Spool  # noqa: PLC0415
    from claude_hooks_otel.store.connection import connect  # noqa: PLC0415

    moved_ns = 0
    loop, spool = Loop(Home(home), os.environ, lambda: time.time_ns() + moved_ns), Spool(Home(home).spool)
    connection = connect(Home(home).store, readonly=True)
    for line in sys.stdin:
        while spool.depth(1):
            loop.work()
        moved_ns += round(float(line) * 1e9)
        loop.work()
        (written,) = connection.execute("SELECT COUNT(*) FROM written_item WHERE signal = 'traces'").fetchone()
        (waiting,) = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM outbox").fetchone()
        print(json.dumps({"written": written, "waiting": waiting, "megabytes": resident_megabytes()}), flush=True)
        time.sleep(0.1)  # lets the delivery threads run
    connection.close()
    loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
