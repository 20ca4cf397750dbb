"""Export made-up imported history, and load it into Prometheus's blocks with long blocks and with the default ones.

    python -m bench.export_history [DAYS] [PROJECTS]

It prints the rows of the store, the time, the size and the memory of the export, and how long promtool takes both ways.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.support import command_line
from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.metrics.catalog import METRICS
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.aggregates import BUCKET, Aggregates
from claude_hooks_otel.units import DAY
from monitoring.rig.build import binary

# Half hours with work on each day, and the share of the series of a project that grow in one of them.
HALF_HOURS, SHARE = 12, 0.3
VALUES = ("one", "two", "three")


def fill(home: Home, days: int, projects: int) -> int:
    """Write sums of so many days into a store, each project on every tenth day. Return the number of rows."""
    chance, end = random.Random(1), time.time_ns() // DAY * DAY - DAY
    metrics = [metric for metric in METRICS if metric.common and metric.kind is not Kind.GAUGE]
    with closing(open_store(home.store, time.time_ns)) as store:
        aggregates = Aggregates(store.connection, time.time_ns, is_live=False)
        for day in range(days):
            for project in range(day % 10, projects, 10):
                for half_hour in range(HALF_HOURS):
                    at = end - day * DAY + half_hour * BUCKET
                    for metric in metrics:
                        for value in VALUES if metric.labels else VALUES[:1]:
                            if chance.random() < SHARE:
                                labels = {"agent": "a", "project": f"project-{project}"} | dict.fromkeys(
                                    metric.labels, value
                                )
                                amount = metric.scale * chance.randrange(1, 1000)
                                aggregates.add(metric, tuple(sorted(labels.items())), amount, at)
            with store.transaction():
                aggregates.flush()
        (rows,) = store.connection.execute("SELECT COUNT(*) FROM aggregate").fetchone()
    return int(rows)


def seconds(*arguments: str | Path, **environ: str) -> tuple[float, float]:
    """Run a program. Return its time in seconds, and the most memory of any program so far, in megabytes."""
    began = time.perf_counter()
    subprocess.run([*map(str, arguments)], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environ})
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Fill a store, export it, and load the file both ways."""
    parser = command_line(__doc__)
    parser.add_argument("days", nargs="?", type=int, default=30, help="how long the history is; a year takes an hour")
    parser.add_argument("projects", nargs="?", type=int, default=10, help="how many projects there are")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Home(Path(name) / "home")
        home.create()
        print(f"{fill(home, options.days, options.projects):,} rows of {options.days} days")
        text = folder / "history.txt"
        command = (sys.executable, "-m", "claude_hooks_otel", "export", "openmetrics", text)
        taken, memory = seconds(*command, **{HOME_VARIABLE: str(home.root)})
        print(f"export: {taken:.1f} s, {text.stat().st_size / 1e6:.1f} MB, {memory:.0f} MB of memory")
        load = (binary("promtool"), "tsdb", "create-blocks-from", "openmetrics")
        long, _ = seconds(*load, "--max-block-duration=480h", text, folder / "long")
        short, _ = seconds(*load, text, folder / "short")
        for title, blocks, taken in (("blocks of 480 h", "long", long), ("default blocks", "short", short)):
            size = sum(path.stat().st_size for path in (folder / blocks).rglob("*") if path.is_file())
            print(f"promtool, {title:15}: {taken:7.1f} s, {size / 1e6:.1f} MB")
        print(f"ratio {short / long:.1f}")


if __name__ == "__main__":
    main()
