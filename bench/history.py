"""Import transcripts and report a month of them, side by side with ccusage's native binary on the same files.

It prints wall time, CPU time and peak memory of all processes together. ccusage reads all files for each report, so its `daily` is compared
with the import, and `daily` of the last 30 days with the report.

    npm install --ignore-scripts --prefix .cache/ccusage ccusage@20.0.24
    python -m bench.history [--megabytes 100] [--runs 3] [--transcripts FOLDER]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.support import command_line, compare, spread
from bench.transcripts import make
from claude_hooks_otel.home.paths import HOME_VARIABLE
from tests.support import ccusage

BAR_MEGABYTES_PER_SECOND = 40
BAR_MEMORY_MB = 150
BAR_REPORT_SECONDS = 0.5
REPORTED_DAYS = 30
# Seconds between two looks at the memory.
LOOK = 0.03


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: wall time and CPU time in seconds, peak memory in MB. CPU and memory are those of all its processes."""

    wall: float
    cpu: float
    memory: float


def main() -> int:
    """Make the transcripts, run both sides, and print them."""
    parser = command_line(__doc__)
    parser.add_argument("--megabytes", type=int, default=100, help="how much to import")
    parser.add_argument("--runs", type=int, default=3, help="how often to run each side")
    parser.add_argument(
        "--transcripts", type=Path, help="keep the transcripts in this folder, or use those that it has"
    )
    options = parser.parse_args()
    if reason := ccusage.missing():
        print(reason)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
        config = options.transcripts or Path(name, "claude")
        if not (config / "projects").is_dir():
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            make(config, options.megabytes * 1_000_000, until=today)
        size = _read_all(config) / 1e6
        print(f"{size:,.1f} MB of transcripts")
        imports, theirs = _imports(config, Path(name), options.runs)
        met = _print_imports(imports, theirs, size)
        reports = _reports(config, Path(name, "home"), options.runs)
        return 0 if _print_reports(*reports) and met else 1


def _read_all(config: Path) -> int:
    """Read all transcripts, so that both sides find them in the file cache. Return their size in bytes."""
    return sum(len(path.read_bytes()) for path in config.rglob("*.jsonl"))


def _ours(home: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    program = Path(sys.executable).with_name("claude-hooks-otel")
    return [str(program), *arguments], {"PATH": "/usr/bin:/bin", "HOME": str(home), HOME_VARIABLE: str(home)}


def _imports(config: Path, folder: Path, runs: int) -> tuple[list[Run], list[Run]]:
    """Import into a new home, and let ccusage read the same files, in turn. The last home stays."""
    ours, theirs = [], []
    for number in range(runs):
        home = folder / ("home" if number == runs - 1 else f"home-{number}")
        ours.append(_measure(*_ours(home, "import", "--config-dir", str(config))))
        theirs.append(_measure(ccusage.command("daily"), ccusage.environment([config])))
    return ours, theirs


def _reports(config: Path, home: Path, runs: int) -> tuple[list[Run], list[Run]]:
    since = datetime.now(UTC) - timedelta(days=REPORTED_DAYS)
    ours, theirs = [], []
    for _ in range(max(runs, 5)):
        ours.append(_measure(*_ours(home, "report", "--by", "day", "--last", f"{REPORTED_DAYS}d")))
        daily = ccusage.command("daily", "--since", f"{since:%Y%m%d}")
        theirs.append(_measure(daily, ccusage.environment([config])))
    return ours, theirs


def _print_imports(ours: Sequence[Run], theirs: Sequence[Run], size: float) -> bool:
    speed = size / statistics.median(run.wall for run in ours)
    print(f"import:  {_described(ours)}; {speed:.1f} MB/s")
    print(f"ccusage: {_described(theirs)}; {size / statistics.median(run.wall for run in theirs):.1f} MB/s")
    ratios = {name: _median(ours, name) / _median(theirs, name) for name in ("wall", "cpu", "memory")}
    print(f"ratio to ccusage: {', '.join(f'{name} {ratio:.2f}' for name, ratio in ratios.items())}")
    print(f"MB/s; wanted: {BAR_MEGABYTES_PER_SECOND}")
    met = [compare(speed, BAR_MEGABYTES_PER_SECOND, 1, at_least=True)]
    print(f"peak memory of the import; allowed: {BAR_MEMORY_MB} MB")
    met.append(compare(max(run.memory for run in ours), BAR_MEMORY_MB, 1))
    return all(met)


def _print_reports(ours: Sequence[Run], theirs: Sequence[Run]) -> bool:
    print(f"\nreport of {REPORTED_DAYS} days by day: {_described(ours)}")
    print(f"ccusage: {_described(theirs)}")
    wall = _median(ours, "wall")
    print(f"report; allowed: {BAR_REPORT_SECONDS} s")
    met = [compare(wall, BAR_REPORT_SECONDS, 1)]
    print("report, and ccusage")
    met.append(compare(wall, _median(theirs, "wall"), 1))
    return all(met)


def _median(runs: Sequence[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def _described(runs: Sequence[Run]) -> str:
    wall = spread([run.wall for run in runs], "s")
    return f"{wall}, {_median(runs, 'cpu'):.2f} s of CPU, peak {max(run.memory for run in runs):.1f} MB"


def _measure(command: Sequence[str], environ: Mapping[str, str]) -> Run:
    """Run a command and measure all its processes.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=errors)
        peak = 0.0
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, sum(_memory(process.pid)))
            time.sleep(LOOK)
        wall = time.perf_counter() - began
        _, status, used = waited
        process.returncode = os.waitstatus_to_exitcode(status)  # the process is gone, and Popen must not wait for it
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command} failed: {errors.read().decode(errors='replace')}")
    # The kernel's own peak is that of the largest process. Short runs end before the first look.
    return Run(wall, used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss / 1024))


def _memory(pid: int) -> Iterator[float]:
    """Yield the memory of a process and of those below it in MB. What several share counts once (Pss in Linux's smaps_rollup)."""
    with suppress(OSError, IndexError):  # a process may end at any moment
        folder = Path("/proc", str(pid))
        yield int((folder / "smaps_rollup").read_text(encoding="ascii").partition("\nPss:")[2].split()[0]) / 1024
        for children in folder.glob("task/*/children"):
            for child in children.read_text(encoding="ascii").split():
                yield from _memory(int(child))


if __name__ == "__main__":
    sys.exit(main())
