"""Measure how many events a second the daemon takes in on one core, and whether its memory grows.

This process fills a spool with recorded events under new identifiers. Another one empties it with the daemon's own loop
(``Loop.work``). With ``--exported``, that loop also sends metrics, spans and log events to an OTLP receiver.

    python -m bench.intake [--events 300000] [--portion 10000] [--exported] [--profile FILE]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.support import command_line, compare, events, fill, make_spool, one_core, resident_megabytes
from tests.support.otlp_receiver import OtlpReceiver

PORTION = 10_000
BAR_EVENTS_PER_SECOND = 3000
BAR_MEMORY_MB = 90
# Memory after all events may exceed the memory after the first portion by this factor.
BAR_GROWTH = 1.1


def main() -> int:
    """Run the benchmark and print the results."""
    parser = command_line(__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="how many events in total")
    parser.add_argument("--portion", type=int, default=PORTION, help="how many events wait at once")
    parser.add_argument("--exported", action="store_true", help="export all signals to an OTLP receiver")
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    parser.add_argument("--profile", help="write a cProfile of the intake to this file")
    parser.add_argument("--intake", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.intake:
        return _intake(Path(options.intake), options.endpoint, options.profile)
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as folder, ExitStack() as stack:
        home = Path(folder, "home")
        make_spool(home)
        command = [sys.executable, "-m", "bench.intake", "--intake", str(home)]
        if options.exported:
            command += ["--endpoint", stack.enter_context(OtlpReceiver()).http_endpoint]
        command += ["--profile", options.profile] if options.profile else []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            portions = _run(child, home, Path(folder, "projects"), options.events, options.portion)
    return _report(portions, options.portion)


def _run(child: subprocess.Popen[str], home: Path, projects: Path, total: int, portion: int) -> list[dict[str, float]]:
    assert child.stdin is not None
    assert child.stdout is not None
    source, portions = events(projects), []
    for _ in range(0, total, portion):
        fill(home / "spool", source, portion)
        child.stdin.write("go\n")
        child.stdin.flush()
        portions.append(json.loads(child.stdout.readline()))
        if len(portions) in (1, 2, 5) or len(portions) % 10 == 0:
            seconds, memory = portions[-1]["seconds"], portions[-1]["megabytes"]
            print(
                f"{len(portions) * portion:>9,} events: last {portion:,} in {seconds:.2f} s, {memory:.1f} MB",
                flush=True,
            )
    child.stdin.close()
    return portions


def _report(portions: list[dict[str, float]], portion: int) -> int:
    total, seconds = len(portions) * portion, sum(each["seconds"] for each in portions)
    first, last = portions[0]["megabytes"], portions[-1]["megabytes"]
    print(
        f"\ntaken in: {total:,} events in {seconds:.1f} s = {total / seconds:,.0f} events/s; wanted: {BAR_EVENTS_PER_SECOND:,} events/s"
    )
    met = [compare(total / seconds, BAR_EVENTS_PER_SECOND, 1, at_least=True)]
    print(f"resident memory after {total:,} events: {last:.1f} MB; allowed: {BAR_MEMORY_MB} MB")
    met.append(compare(last, BAR_MEMORY_MB, 1))
    print(f"resident memory after {total:,} events: {last:.1f} MB; after {portion:,}: {first:.1f} MB")
    met.append(compare(last, first, BAR_GROWTH))
    return 0 if all(met) else 1


def _intake(home: Path, endpoint: str | None, profile: str | None) -> int:
    """Run the daemon's loop in the other process, once for each line on standard input."""
    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415 -- only the measured process imports it
    from claude_hooks_otel.home.paths import Home  # noqa: PLC0415
    from claude_hooks_otel.sources.spool import Spool  # noqa: PLC0415

    one_core()
    variables = (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} if endpoint else {}
    )
    loop, spool = Loop(Home(home), variables), Spool(Home(home).spool)
    profiler = cProfile.Profile()
    for _ in sys.stdin:
        began = time.perf_counter()
        if profile:
            profiler.enable()
        while spool.depth(1):
            loop.work()
        profiler.disable()
        print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": resident_megabytes()}), flush=True)
    loop.close()
    if profile:
        profiler.dump_stats(profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
