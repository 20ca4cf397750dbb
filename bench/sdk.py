"""Compare a recorded metric with the bare file system work for one file, and measure the import of the SDK.

python -m bench.sdk [--calls 5000] [--imports 15]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.support import command_line, spread
from tests.support.places import ROOT

RECORD_BAR_US, IMPORT_BAR_MS = 100.0, 40.0
# The size of a usual program record, in bytes.
USUAL = 280
HEAVY = ("opentelemetry", "pydantic")


def per_call(call: Callable[[], None], calls: int) -> list[float]:
    """Return how long each call takes, in microseconds."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1e6)
    return found


def bare(folder: Path) -> Callable[[], None]:
    """Return a call that creates, writes, closes and renames one file: the least that a program record needs."""
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
    """Return how long a statement takes in a new interpreter, in milliseconds, by that interpreter's own clock."""
    program = f"import time; began = time.perf_counter(); {statement}; print((time.perf_counter() - began) * 1000)"
    return [
        float(
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        )
        for _ in range(times)
    ]


def main() -> int:
    """Run the benchmark and print the results."""
    parser = command_line(__doc__)
    parser.add_argument("--calls", type=int, default=5000, help="how often to call each side")
    parser.add_argument("--imports", type=int, default=15, help="how many interpreters to start")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home(),
        help="the folder for the spools; by default the home folder, where a user's spool is",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-sdk-", dir=options.folder) as folder:
        os.environ["CLAUDE_HOOKS_OTEL_HOME"] = f"{folder}/home"
        from claude_monitoring import AgentMonitor  # noqa: PLC0415

        monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
        (Path(folder) / "bare").mkdir()
        other_call, ours, other = bare(Path(folder) / "bare"), [], []
        for _ in range(10):  # in turns, because the speed of a machine varies
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
    print(f"import claude_monitoring: {spread(imported, 'ms', 1)}; heavy modules it imports: {heavy}")
    print(f"import json alone:        {spread(import_ms('import json', options.imports), 'ms', 1)}")
    met = statistics.median(ours) < RECORD_BAR_US and statistics.median(imported) < IMPORT_BAR_MS and heavy == "[]"
    print(
        f"bars: under {RECORD_BAR_US:g} us, under {IMPORT_BAR_MS:g} ms, no heavy modules: {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
