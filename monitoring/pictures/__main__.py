"""Draw the four dashboards over a simulated week: ``python -m monitoring.pictures [FOLDER]``.

It needs Prometheus and promtool, which ``python -m monitoring.rig.build`` builds with Go. It takes about two minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from monitoring.generate import SETUP
from monitoring.pictures import week
from monitoring.pictures.draw import Picture
from monitoring.rig.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Play the week, fill a Prometheus with it, and draw the dashboards."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images", help="default: docs/images")
    target = parser.parse_args().folder
    target.mkdir(parents=True, exist_ok=True)
    end = week.END.timestamp()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "week.txt"
        with text.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in week.samples(folder / "desks"))
        stack = Stack(folder / "stack")
        stack.backfill(text)
        stack.prometheus.start()
        try:
            for path in sorted((SETUP / "grafana-dashboards").glob("*.json")):
                days = 2.0 if path.stem in ("claude-agents", "claude-technical") else float(week.DAYS)
                picture = Picture(path, stack.instant, stack.over_time, end - days * 86_400, end)
                picture.save(target / f"{path.stem}.png")
        finally:
            stack.prometheus.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
