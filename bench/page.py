"""Measures how fast the page of a large imported history is, in a real browser: the first paint of the overview, and each click.

python -m bench.page [--sessions 10000] [--home FOLDER] [--transcripts FOLDER]
python -m bench.page --live

It makes transcripts, imports them and serves the page. With --home, it serves a home that is there already. With --live, it runs the real
client, and measures how long after each hook the live page shows what happened.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.transcripts import make
from claude_hooks_otel.daemon.history import find_transcripts
from claude_hooks_otel.daemon.import_workers import run_import
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.series.aggregates import BUCKET
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import HOUR
from claude_hooks_otel.web.server import PageServer
from tests.support.client.client import missing, play

# The bars, milliseconds.
FIRST_PAINT, CLICK = 1000, 300
# The bar of the live page, seconds.
LIVE = 2.0
# Turns of a session: 10,000 sessions are about 1 GB.
TURNS = (1, 2, 4, 12)
# What a person clicks, by page: a name, and what is clicked.
CLICKS = (
    ("/", "range: 7 days", ".presets a:has-text('7 days')"),
    ("/", "range: all", ".presets a:has-text('All')"),
    ("/", "chart by project", ".choices a:has-text('project')"),
    ("/", "one project", "#table-projects tbody tr:first-child td:first-child a"),
    ("/", "one day", "#table-times tbody tr:first-child td:first-child a"),
    ("/", "one model", "#table-models tbody tr:first-child td:first-child a"),
    ("/", "agents", ".pages a:has-text('Agents')"),
    ("/", "quality", ".pages a:has-text('Quality')"),
    ("/", "technical", ".pages a:has-text('Technical')"),
    ("/", "sessions", ".pages a:has-text('Sessions')"),
    ("/sessions", "sort by cost", "thead a:has-text('cost')"),
    ("/sessions", "next page", ".pager a[rel=next]"),
    ("/sessions", "one session", "tbody tr:first-child td:first-child a"),
    ("/sessions?range=all", "all sessions, by output", "thead a:has-text('output')"),
    ("/technical", "one tool", "#table-tools tbody tr:first-child td:first-child a"),
    ("/", "live", ".pages a:has-text('Live')"),
    ("/", "health", ".pages a:has-text('Health')"),
)
_PAINT = """() => new Promise((done) => {
  const find = () => performance.getEntriesByName('first-contentful-paint')[0];
  const look = () => find() ? done(find().startTime) : setTimeout(look, 5);
  look();
})"""


def newest(home: Home) -> int:
    """Return the time of the newest figures, Unix nanoseconds. The page is asked for the days before it."""
    with closing(connect(home.store, readonly=True)) as connection:
        return int(connection.execute("SELECT MAX(bucket) FROM aggregate").fetchone()[0]) * BUCKET + HOUR


def measure(home: Home, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds to the first paint after each click, by name."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 — only for a measurement

    now_ns = newest(home)
    server = PageServer(home, os.environ, 0, now_ns=lambda: now_ns)
    thread = threading.Thread(target=server.run)
    thread.start()
    found: dict[str, list[float]] = {}
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(server.link)
            page.wait_for_url("**/")
            found["first paint of the overview"] = [page.evaluate(_PAINT)]
            for _ in range(rounds):
                for path, name, selector in CLICKS:
                    page.goto(f"http://127.0.0.1:{server.port}{path}")
                    found.setdefault(name, []).append(click(page, selector))
            browser.close()
    finally:
        server.stop()
        thread.join()
    return found


def click(page: Any, selector: str) -> float:
    """Click a link. Return the milliseconds from the click to the first paint of the next page."""
    with page.expect_navigation():
        page.click(selector)
    return float(page.evaluate(_PAINT))


def measure_live() -> None:
    """Print the seconds from each hook of the real client to the page."""
    if reason := missing():
        print(reason)
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds = play("page_live", Path(folder, "world"))["seconds"]
    print(
        f"from the hook to the page: slowest {max(seconds):.2f} s of {len(seconds)}, bar {LIVE} s, ratio {max(seconds) / LIVE:.2f}"
    )


def main() -> None:
    """Measure, and print each figure next to its bar."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", type=Path, help="a home with an imported history")
    parser.add_argument("--transcripts", type=Path, help="a configuration folder with transcripts to import")
    parser.add_argument("--live", action="store_true", help="measure the live page with the real client")
    options = parser.parse_args()
    if options.live:
        measure_live()
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = Home(options.home or Path(temporary, "home"))
        if options.home is None:
            folder = options.transcripts or Path(temporary, "config")
            if options.transcripts is None:
                make(folder, count=options.sessions, turns=TURNS)
            found = find_transcripts([folder])
            print(f"{len(found)} sessions, {sum(each.size for each in found) / 1e6:,.0f} MB of transcripts")
            began = time.monotonic()
            run_import(home, Config(), found)
            print(f"imported in {time.monotonic() - began:,.0f} s")
        print(f"store: {home.store.stat().st_size / 1e6:,.0f} MB")
        for name, times in measure(home, options.rounds).items():
            bar = FIRST_PAINT if name.startswith("first") else CLICK
            median = statistics.median(times)
            print(f"{name:28} {median:7.0f} ms (slowest {max(times):.0f})  bar {bar} ms  ratio {median / bar:.2f}")


if __name__ == "__main__":
    main()
