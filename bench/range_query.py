"""Compare two ways to ask a real Prometheus for the growth in a range: over carried totals, and over raw samples alone.

The benchmark fills a Prometheus with series of one counter: a month of eight-hour days, scraped every 15 s, and the totals that the
recording rule carries.

    python -m bench.range_query [SERIES]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.support import command_line
from monitoring.expressions import CARRIED, carry, change
from monitoring.rig.stack import Stack

NAME = "claude_tool_calls_total"
DAYS, SCRAPE, CARRY = 30, 15, 900
RUNS = 5


def write_samples(path: Path, series: int, end: int) -> None:
    """Write a month of samples as OpenMetrics text, the newest at ``end`` (Unix seconds)."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(series):
            value = 0
            for at in range(end - DAYS * 86_400, end, SCRAPE):
                if (end - at) % 86_400 < 8 * 3600:  # the last eight hours of each day
                    value += (at // SCRAPE + number) % 40 == 0
                    file.write(f'{NAME}{{agent="{number}"}} {value} {at}\n')
                if at % CARRY == 0:
                    file.write(f'{NAME}{CARRIED}{{agent="{number}"}} {value} {at}\n')
        file.write("# EOF\n")


def median_seconds(stack: Stack, query: str, end: int) -> tuple[float, float]:
    """Return the median time of a query in seconds, and its first value."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        answer = stack.instant(query, float(end))
        times.append(time.perf_counter() - began)
    return statistics.median(times), next(iter(answer.values()))


def main() -> None:
    """Fill a Prometheus, ask both ways, and print the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("series", nargs="?", type=int, default=50, help="how many series to fill in")
    series = parser.parse_args().series
    end = int(time.time()) // CARRY * CARRY
    raw = f"{NAME}[30d]"
    queries = {
        "raw samples, 30 d back": (
            f"sum(last_over_time({raw}) - (last_over_time({raw} offset 7d) or last_over_time({raw}) * 0))"
        ),
        "carried totals": f"sum({change(NAME, '7d')})",
        "the rule itself": f"count({carry(NAME)})",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "stack")
        write_samples(folder / "samples.txt", series, end)
        stack.backfill(folder / "samples.txt")
        stack.prometheus.start()
        try:
            found = {}
            for title, query in queries.items():
                found[title], value = median_seconds(stack, query, end)
                print(f"{title:24} {1000 * found[title]:8.1f} ms for {series} series  -> {value:g}")
            print(f"ratio {found['raw samples, 30 d back'] / found['carried totals']:.1f}")
        finally:
            stack.prometheus.stop()


if __name__ == "__main__":
    main()
