"""``python -m monitoring.pictures [FOLDER]``: draws the four dashboards over a played week into docs/images.

Needs Go for Prometheus and promtool (monitoring/rig/build.py), and takes about two minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from monitoring.generate import SETUP
from monitoring.rig.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Plays, fills a Prometheus, asks it and draws."""
    from monitoring.pictures import week
    from monitoring.pictures.draw import Picture

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    end = float(int(time.time()) // 300 * 300)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "week.txt"
        with text.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in week.samples(folder / "desks", end))
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
