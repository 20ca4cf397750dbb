"""What "how much in this range" costs a real Prometheus: the carried totals against looking back over raw samples.

``python -m bench.range_query [SERIES]`` fills a Prometheus with SERIES series of one counter: a month of eight-hour days scraped
every 15 s, and the totals that the recording rule carries; then asks both ways, and prints both and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from monitoring.expressions import CARRIED, carry, change
from monitoring.rig.build import binary
from monitoring.rig.stack import Stack

NAME = "claude_tool_calls_total"
DAYS, SCRAPE, CARRY = 30, 15, 900
RUNS = 5


def main() -> None:
    """Fills, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", nargs="?", type=int, default=50)
    series = parser.parse_args().series
    end = int(time.time()) // 900 * 900
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder / "stack")
        text = folder / "samples.txt"
        with text.open("w") as file:
            for number in range(series):
                value = 0
                for at in range(end - DAYS * 86_400, end, SCRAPE):
                    # Eight hours of each day, the last of which ends now.
                    if (end - at) % 86_400 < 8 * 3600:
                        value += (at // SCRAPE + number) % 40 == 0
                        file.write(f'{NAME}{{agent="{number}"}} {value} {at}\n')
                    if at % CARRY == 0:
                        file.write(f'{NAME}{CARRIED}{{agent="{number}"}} {value} {at}\n')
            file.write("# EOF\n")
        fill = [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", text, folder / "stack" / "tsdb"]
        subprocess.run(fill, check=True, capture_output=True)
        stack.prometheus.start()
        try:
            raw = f"{NAME}[30d]"
            plain = f"sum(last_over_time({raw}) - (last_over_time({raw} offset 7d) or last_over_time({raw}) * 0))"
            ours = f"sum({change(NAME, '7d')})"
            rule = f"count({carry(NAME)})"
            found = {}
            for title, query in (
                ("raw samples, 30 d back", plain),
                ("carried totals", ours),
                ("the rule itself", rule),
            ):
                times = []
                for _ in range(RUNS):
                    began = time.perf_counter()
                    answer = stack.instant(query, float(end))
                    times.append(time.perf_counter() - began)
                found[title] = statistics.median(times)
                print(
                    f"{title:24} {1000 * found[title]:8.1f} ms for {series} series  -> {next(iter(answer.values())):g}"
                )
            print(f"ratio {found['raw samples, 30 d back'] / found['carried totals']:.1f}")
        finally:
            stack.prometheus.stop()


if __name__ == "__main__":
    main()
