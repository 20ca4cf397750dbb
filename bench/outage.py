"""What an hour without an endpoint costs: so many spans are written while nothing listens, then the endpoint comes back.

Prints the daemon's memory next to that of one whose endpoint was there all the time, how long the delivery took, and what arrived. The
daemon's own loop runs in another process; the hour is its clock's, which is moved on, so that everything fits into minutes.

    python -m bench.outage [--spans 50000] [--protocol grpc]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.support import compare, events, fill, resident_megabytes

# isort: split
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import spans

PORTION = 5000  # events between two looks
HOUR = 3600.0  # seconds
# Memory after the outage may exceed that without one by this factor.
BAR_MEMORY = 1.15
# Seconds until everything is to be there once the endpoint is back.
TIMEOUT_S = 600.0


@dataclass
class Measured:
    """One run: what was written, what arrived, the greatest resident memory, and how long delivery took after the end."""

    written: int
    arrived: int
    different: int
    megabytes: float
    megabytes_at_the_end: float
    waiting_megabytes: float
    seconds: float


def main() -> int:
    """Runs both sides and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=50_000, help="how many are written before the endpoint comes back")
    parser.add_argument("--protocol", choices=("grpc", "http/protobuf"), default="grpc")
    parser.add_argument("--daemon", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.daemon:
        return _daemon(Path(options.daemon))
    present, away = (_measure(options.spans, options.protocol, is_away=is_away) for is_away in (False, True))
    for name, run in (("endpoint there", present), ("endpoint away for an hour", away)):
        print(
            f"{name}: {run.written:,} spans written, {run.waiting_megabytes:.0f} MB waiting at most, {run.arrived:,} arrived, "
            f"{run.different:,} different; all there after {run.seconds:.1f} s; memory at most {run.megabytes:.1f} MB"
        )
    complete = all(run.written == run.arrived == run.different for run in (present, away))
    print("all arrived, each once" if complete else "NOT ALL ARRIVED, OR NOT ONCE")
    print(f"memory: {away.megabytes:.1f} MB with the outage, {present.megabytes:.1f} MB without")
    return 0 if compare(away.megabytes, present.megabytes, BAR_MEMORY) and complete else 1


def _measure(wanted: int, protocol: str, *, is_away: bool) -> Measured:
    with tempfile.TemporaryDirectory(prefix="bench-outage-") as folder, OtlpReceiver() as receiver:
        endpoint = receiver.grpc if protocol == "grpc" else receiver.http
        home = Path(folder, "home")
        for part in ("tmp", "new"):
            (home / "spool" / part).mkdir(parents=True)
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
        return Measured(
            int(state["written"]), len(found), len(set(found)), greatest, state["megabytes"], waiting, seconds
        )


def _tell(child: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Has the daemon take in what is there, and moves its clock on."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{seconds}\n")
    child.stdin.flush()
    found: dict[str, float] = json.loads(child.stdout.readline())
    return found


def _daemon(home: Path) -> int:
    """The other process: the daemon's loop, told when to run."""
    import os  # noqa: PLC0415 -- only this process is measured

    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415
    from claude_hooks_otel.home.paths import Home  # noqa: PLC0415

    moved_ns = 0
    service = Loop(Home(home), os.environ, lambda: time.time_ns() + moved_ns)
    connection = service.core.store.connection
    for line in sys.stdin:
        while service.core.spool.depth(1):
            service.work()
        moved_ns += round(float(line) * 1e9)
        service.work()
        (written,) = connection.execute("SELECT COUNT(*) FROM written_item WHERE signal = 'traces'").fetchone()
        (waiting,) = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM outbox").fetchone()
        print(json.dumps({"written": written, "waiting": waiting, "megabytes": resident_megabytes()}), flush=True)
        time.sleep(0.1)  # the threads' turn
    service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
