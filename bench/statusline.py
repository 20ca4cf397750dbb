"""Compare the time of our status line with that of `ccusage statusline`, on the same input and the same history.

The benchmark makes transcripts, imports them, and runs the commands in turns, as the client does: with the input on standard input, until
they end. The caches are warm. Ours is the command that `install --statusline` registers.

    python -m bench.statusline [--ccusage node_modules/.bin/ccusage] [--runs 50] [--megabytes 100]
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.support import command_line, compare, spread
from bench.transcripts import make
from tests.support.places import ROOT

# Milliseconds.
BAR = 60.0
INPUT = ROOT / "tests" / "data" / "statusline.jsonl"


def main() -> int:
    """Run all sides in turns and print the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="the command of the npm package ccusage")
    parser.add_argument("--runs", type=int, default=50, help="how often to run each")
    parser.add_argument("--megabytes", type=int, default=100, help="the size of the transcripts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-statusline-") as folder:
        environ = {"HOME": folder, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        count = make(Path(folder, ".claude"), options.megabytes * 1_000_000)
        print(f"{options.megabytes} MB of transcripts, {count} sessions")
        for command in (["install", "--statusline"], ["import"]):
            subprocess.run(
                [sys.executable, "-m", "claude_hooks_otel", *command], env=environ, check=True, capture_output=True
            )
        content = _input(Path(folder, ".claude"))
        times, processor = _measure(_sides(Path(folder), options.ccusage), environ, content, options.runs)
    ours = statistics.median(times["ours"])
    for name, values in times.items():
        print(
            f"{name}: {spread(values, 'ms', 1)}, of which the processor works {statistics.median(processor[name]):.1f} ms"
        )
        if name != "ours":
            print(f"  ours takes {ours / statistics.median(values):.2f} of its time")
    return 0 if compare(ours, BAR, 1.0) else 1


def _input(config: Path) -> bytes:
    """Return a recorded input about the newest session."""
    newest = max(config.rglob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    status = json.loads(INPUT.read_text(encoding="utf-8").splitlines()[-1])
    status |= {"session_id": newest.stem, "transcript_path": str(newest)}
    return json.dumps(status).encode()


def _sides(folder: Path, ccusage: str | None) -> dict[str, list[str]]:
    """Return name → command."""
    settings = json.loads((folder / ".claude" / "settings.json").read_text(encoding="utf-8"))
    sides = {"ours": ["/bin/sh", "-c", settings["statusLine"]["command"]]}
    if ccusage is None:
        print("ccusage is not installed, so ours runs alone: npm install ccusage, then name it with --ccusage")
        return sides
    sides["ccusage statusline"] = ["/bin/sh", "-c", f"{ccusage} statusline"]
    native = sorted(Path(ccusage).resolve().parents[2].glob("@ccusage/ccusage-*/bin/ccusage"))
    if native:  # without the Node.js program that starts it
        sides["ccusage statusline, its native program alone"] = ["/bin/sh", "-c", f"{native[0]} statusline"]
    return sides


def _measure(
    sides: dict[str, list[str]], environ: dict[str, str], content: bytes, runs: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return name → milliseconds of each run, by the clock and of the processor. The first round warms the caches, and shows what they print."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(runs + 1):
        for name, command in sides.items():
            began, worked = time.perf_counter(), _worked()
            done = subprocess.run(command, input=content, env=environ, capture_output=True, check=True)
            if number:
                times[name].append((time.perf_counter() - began) * 1000)
                processor[name].append((_worked() - worked) * 1000)
            else:
                print(f"{name} prints: {done.stdout.decode().strip()}")
    return times, processor


def _worked() -> float:
    """Return the seconds that the processor has worked for this process's children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
