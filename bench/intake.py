"""How many events a second the daemon takes in on one core, and what it needs in memory after ten thousand and after many more.

The daemon's own loop (``Service.work``) empties a spool that another process fills with recorded events under new identifiers.

With ``--exported`` metrics, spans and log events go to an OTLP receiver meanwhile.

    python -m bench.intake [--events 300000] [--exported] [--profile FILE]
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

from bench.support import compare, events, fill, one_core, resident_megabytes

# isort: split
from tests.support.otlp_receiver import OtlpReceiver

PORTION = 10_000
BAR_EVENTS_PER_SECOND = 3000
BAR_MEMORY_MB = 90
# Memory after all events may exceed that after the first portion by this factor and still be called flat.
BAR_GROWTH = 1.1


def main() -> int:
    """Fills, lets the other process empty, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="how many in all")
    parser.add_argument("--exported", action="store_true", help="with an endpoint of all signals")
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    parser.add_argument("--profile", help="write a cProfile of the intake there")
    parser.add_argument("--intake", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.intake:
        return _intake(Path(options.intake), options.endpoint, options.profile)
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as folder, ExitStack() as stack:
        home = Path(folder, "home")
        for part in ("tmp", "new"):
            (home / "spool" / part).mkdir(parents=True)
        command = [sys.executable, "-m", "bench.intake", "--intake", str(home)]
        if options.exported:
            command += ["--endpoint", stack.enter_context(OtlpReceiver()).http_endpoint]
        command += ["--profile", options.profile] if options.profile else []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            portions = _run(child, home, Path(folder, "projects"), options.events)
    return _report(portions)


def _run(child: subprocess.Popen[str], home: Path, projects: Path, total: int) -> list[dict[str, float]]:
    assert child.stdin is not None
    assert child.stdout is not None
    source, portions = events(projects), []
    for _ in range(0, total, PORTION):
        fill(home / "spool", source, PORTION)
        child.stdin.write("go\n")
        child.stdin.flush()
        portions.append(json.loads(child.stdout.readline()))
        if len(portions) in (1, 2, 5) or len(portions) % 10 == 0:
            seconds, memory = portions[-1]["seconds"], portions[-1]["megabytes"]
            print(
                f"{len(portions) * PORTION:>9,} events: last {PORTION:,} in {seconds:.2f} s, {memory:.1f} MB",
                flush=True,
            )
    child.stdin.close()
    return portions


def _report(portions: list[dict[str, float]]) -> int:
    total, seconds = len(portions) * PORTION, sum(portion["seconds"] for portion in portions)
    first, last = portions[0]["megabytes"], portions[-1]["megabytes"]
    print(
        f"\ntaken in: {total:,} events in {seconds:.1f} s = {total / seconds:,.0f} events/s; wanted: {BAR_EVENTS_PER_SECOND:,} events/s"
    )
    met = [compare(total / seconds, BAR_EVENTS_PER_SECOND, 1, at_least=True)]
    print(f"resident memory after {total:,} events: {last:.1f} MB; allowed: {BAR_MEMORY_MB} MB")
    met.append(compare(last, BAR_MEMORY_MB, 1))
    print(f"resident memory after {total:,} events: {last:.1f} MB; after {PORTION:,}: {first:.1f} MB")
    met.append(compare(last, first, BAR_GROWTH))
    return 0 if all(met) else 1


def _intake(home: Path, endpoint: str | None, profile: str | None) -> int:
    """The other process: the daemon's loop, told when to run."""
    from claude_hooks_otel.daemon.loop import Loop  # noqa: PLC0415 -- only this process is measured
    from claude_hooks_otel.home.paths import Home  # noqa: PLC0415

    one_core()
    variables = (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} if endpoint else {}
    )
    service = Loop(Home(home), variables)
    profiler = cProfile.Profile()
    for _ in sys.stdin:
        began = time.perf_counter()
        if profile:
            profiler.enable()
        while service.core.spool.depth(1):
            service.work()
        profiler.disable()
        print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": resident_megabytes()}), flush=True)
    service.close()
    if profile:
        profiler.dump_stats(profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
