"""What the SDK costs its caller: one recorded metric compared with the bare file system work of one, and the import beside Python's own start.

python -m bench.sdk [--calls 5000] [--imports 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.support import spread
from tests.support.places import ROOT

RECORD_BAR_US, IMPORT_BAR_MS = 100.0, 40.0
# Bytes of a usual record.
USUAL = 280
HEAVY = ("opentelemetry", "pydantic")


def per_call(call: Callable[[], None], calls: int) -> list[float]:
    """Microseconds of each call."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1e6)
    return found


def bare(folder: Path) -> Callable[[], None]:
    """Create, write, close, rename: what no writer of one file a record can do without."""
    for part in ("tmp", "new"):
        (folder / part).mkdir()
    number = iter(range(10**9))

    def call() -> None:
        name = next(number)
        descriptor = os.open(f"{folder}/tmp/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, b"x" * USUAL)
        os.close(descriptor)
        os.rename(f"{folder}/tmp/{name}", f"{folder}/new/{name}")  # noqa: PTH104

    return call


def import_ms(statement: str, times: int) -> list[float]:
    """Milliseconds that a statement takes in a new interpreter, by that interpreter's own clock."""
    program = f"import time; began = time.perf_counter(); {statement}; print((time.perf_counter() - began) * 1000)"
    return [
        float(
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        )
        for _ in range(times)
    ]


def main() -> int:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000, help="of each side")
    parser.add_argument("--imports", type=int, default=15, help="new interpreters")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home(),
        help="where the spools are made; by default the home folder, as a user's is",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-sdk-", dir=options.folder) as folder:
        os.environ["CLAUDE_HOOKS_OTEL_HOME"] = f"{folder}/home"
        from claude_monitoring import AgentMonitor  # noqa: PLC0415

        monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
        (Path(folder) / "bare").mkdir()
        other_call, ours, other = bare(Path(folder) / "bare"), [], []
        for _ in range(10):  # in turns: a machine is not equally fast all the time
            other += per_call(other_call, options.calls // 10)
            ours += per_call(lambda: monitor.record_metric("api_calls", 1), options.calls // 10)
    imported = import_ms("import claude_monitoring", options.imports)
    heavy = subprocess.run(
        [sys.executable, "-c", f"import sys, claude_monitoring; print([m for m in {HEAVY} if m in sys.modules])"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    print(f"record_metric:          {spread(ours, 'us', 1)}")
    print(f"bare create and rename: {spread(other, 'us', 1)}")
    print(f"ratio: {statistics.median(ours) / statistics.median(other):.2f}")
    print(f"import claude_monitoring: {spread(imported, 'ms', 1)}; of {', '.join(HEAVY)} it imports {heavy}")
    print(f"import json alone:        {spread(import_ms('import json', options.imports), 'ms', 1)}")
    met = statistics.median(ours) < RECORD_BAR_US and statistics.median(imported) < IMPORT_BAR_MS and heavy == "[]"
    print(f"bars: under {RECORD_BAR_US:g} us, under {IMPORT_BAR_MS:g} ms, none of them: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
