"""Make the pictures of the README and the docs: ``python -m docs.pictures [FOLDER]``.

They are screenshots of the real page and of real commands in a real terminal, over the sample week of the tests. The clock of the server,
the browser and the commands stands still, so every figure is the same each time. (Chromium may draw a letter a pixel higher.) It needs
Chromium and tmux, and takes half a minute.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Span, Text

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import SECOND
from claude_hooks_otel.web.server import PageServer
from tests.support import running_sessions, sample_week
from tests.support.running_sessions import NOW_NS
from tests.support.terminal import ENDED, Terminal

FOLDER: Final = Path(__file__).resolve().parent / "images"
# Device pixels per pixel of the page: the pictures stay sharp on good screens.
SCALE: Final = 2
# Of Chromium's WebP encoder, 0 to 100.
QUALITY: Final = 80
WEEK: Final = "last=7d"
# The session that is shown is the shortest one with a sub-agent, so that its waterfall fits.
_SESSION: Final = """
SELECT session_id FROM tool_call WHERE session_id IN (SELECT session_id FROM subagent_turn)
    AND session_id NOT IN (SELECT session_id FROM turn WHERE failure IS NOT NULL)
GROUP BY session_id HAVING COUNT(DISTINCT prompt_id) = 1 ORDER BY COUNT(*), session_id LIMIT 1
"""

# A command of the package whose clock stands still at the nanosecond that comes first.
_FROZEN: Final = """\
import sys, time
now = int(sys.argv.pop(1))
time.time_ns, time.time = lambda: now, lambda: now / 1e9
from claude_hooks_otel.cli import main
sys.argv[0] = "claude-hooks-otel"
main()
"""
_THEME: Final = TerminalTheme(
    (22, 27, 34),
    (220, 225, 231),
    [
        (72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255), (86, 212, 221),
        (220, 225, 231),
    ],
)  # fmt: skip
_WINDOW: Final = """\
<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: transparent; }
figure { display: inline-block; margin: 0; border-radius: 8px; background: #161b22; color: #dce1e7; border: 1px solid #30363d; }
pre { margin: 0; padding: 14px 18px; font: 13px/1.4 "DejaVu Sans Mono", monospace; }
</style><figure id="figure"><pre>%s</pre></figure>
"""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of the page.

    Attributes:
        name: the name of the file, without its ending.
        path: the address below the page; ``{session}`` stands for a session of the week.
        height: how much of the page is shown, in CSS pixels.
        width: the width of the browser, in CSS pixels.
        schemes: the colour schemes; a dark picture has ``-dark`` behind its name.
    """

    name: str
    path: str
    height: int
    width: int = 1200
    schemes: tuple[str, ...] = ("light",)


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture of a command in a terminal.

    Attributes:
        name: the name of the file, without its ending.
        arguments: those of ``claude-hooks-otel``.
        columns: the width of the terminal.
        lines: its height.
        shown: what the screen shows when the picture is taken.
        ago: how many seconds before the end of the week the command runs.
    """

    name: str
    arguments: str
    columns: int
    lines: int = 40
    shown: str = ENDED
    ago: int = 0


BOTH: Final = ("light", "dark")
SHOTS: Final = (
    Shot("page-overview", f"/?{WEEK}", 674, schemes=BOTH),
    Shot("page-session", "/sessions/{session}", 1264, schemes=BOTH),
    Shot("page-live", "/live", 560),
    Shot("page-agents", f"/agents?{WEEK}", 405),
    Shot("page-technical", f"/technical?{WEEK}", 900),
    Shot("page-phone", f"/?{WEEK}", 844, width=390),
)
SCREENS: Final = (
    Screen("terminal-statusline", "statusline <status.json", 110, ago=20),
    Screen("terminal-report", "report --last 7d --by day", 110),
    Screen("terminal-limits", "limits --top 5", 100),
    Screen("terminal-top", "top", 118, 9, shown="waiting for permission"),
)


class Account:
    """A user account with the sample week and the sessions that run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / ".local" / "state" / "claude-hooks-otel")
        sample_week.make(self.home, keeps_words=True)
        running_sessions.make(self.home)
        (folder / "status.json").write_text(json.dumps(running_sessions.status("/home/dev/.claude")), encoding="utf-8")

    def take_in(self) -> None:
        """Take in what the status line has handed on."""
        core = assemble_core(self.home, Config(), lambda: NOW_NS)
        try:
            while core.intake.take_events():
                pass
        finally:
            core.store.close()

    def show(self, screen: Screen) -> str:
        """Run a command in a terminal, and return what it shows, with the command, as HTML."""
        environ = {
            "HOME": str(self.folder), "PATH": os.environ["PATH"], "TZ": "UTC", "TERM": "tmux-256color", "LANG": "C.UTF-8",
        }  # fmt: skip
        words, _, source = screen.arguments.partition(" <")
        frozen = [sys.executable, "-c", _FROZEN, str(NOW_NS - screen.ago * SECOND), *words.split()]
        command = ["sh", "-c", 'exec "$@" <"$0"', source, *frozen] if source else frozen
        size = (screen.columns, screen.lines)
        with Terminal(self.folder, command, environ, cwd=self.folder, size=size) as terminal:
            terminal.wait_for(screen.shown)
            text, _, _ = terminal.screen(styles=True).partition(ENDED)
        prompt = (
            "" if screen.shown != ENDED else f"\x1b[32m$\x1b[0m \x1b[1mclaude-hooks-otel {screen.arguments}\x1b[0m\n"
        )
        return _WINDOW % _html(prompt + text.rstrip(), screen.columns)


def _html(text: str, columns: int) -> str:
    """Return what a terminal shows as HTML, with the styles of its escape sequences."""
    console = Console(record=True, file=io.StringIO(), width=columns, color_system="truecolor", force_terminal=True)
    shown = Text.from_ansi(text, no_wrap=True)
    shown.spans = [Span(start, end, _unreversed(style)) for start, end, style in shown.spans]
    console.print(shown, soft_wrap=True)
    return console.export_html(theme=_THEME, inline_styles=True, code_format="{code}").rstrip()


def _unreversed(style: str | Style) -> str | Style:
    """Return a style with its colours exchanged if it is reversed. Rich's HTML forgets the terminal's own colours there."""
    if isinstance(style, str) or not style.reverse:
        return style
    ground, text = style.bgcolor or Color.default(), style.color or Color.default()
    exchanged = Style(
        color=Color.from_triplet(ground.get_truecolor(_THEME, foreground=False)),
        bgcolor=Color.from_triplet(text.get_truecolor(_THEME)),
        reverse=False,
    )
    return style + exchanged


@contextlib.contextmanager
def _served(home: Home) -> Iterator[PageServer]:
    server = PageServer(home, {}, now_ns=lambda: NOW_NS)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def _save(page: Page, path: Path, width: int, height: int) -> None:
    """Save the upper left part of a page as WebP, which Playwright itself cannot write."""
    given = {
        "format": "webp", "quality": QUALITY, "optimizeForSpeed": False,
        "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
    }  # fmt: skip
    session = page.context.new_cdp_session(page)
    # Each session of the protocol has its own idea of the screen. Without this one, the picture has one pixel for each of the page.
    size = {"width": width, "height": height, "deviceScaleFactor": SCALE, "mobile": False}
    session.send("Emulation.setDeviceMetricsOverride", size)
    before, data = "", session.send("Page.captureScreenshot", given)["data"]
    while data != before:  # a part of the page may still be a draft
        before, data = data, session.send("Page.captureScreenshot", given)["data"]
    session.detach()
    path.write_bytes(base64.b64decode(data))


def _take_shots(browser: Browser, home: Home, folder: Path) -> None:
    """Take the pictures of the page."""
    context = browser.new_context(device_scale_factor=SCALE, locale="en-GB", timezone_id="UTC", reduced_motion="reduce")
    page = context.new_page()
    page.clock.set_fixed_time(NOW_NS / 1e9)
    with _served(home) as server:
        address = server.link.partition("/enter")[0]
        page.goto(server.link)
        page.wait_for_url(f"{address}/")
        with contextlib.closing(connect(home.store, readonly=True)) as store:
            (session,) = store.execute(_SESSION).fetchone()
        for shot in SHOTS:
            for scheme in shot.schemes:
                page.set_viewport_size({"width": shot.width, "height": shot.height})
                page.emulate_media(color_scheme=scheme)
                page.goto(address + shot.path.format(session=session))
                if shot.path == "/live":
                    page.wait_for_selector("[data-live]:has-text('Connected')")
                page.evaluate("document.fonts.ready")
                ending = "-dark" if scheme == "dark" else ""
                _save(page, folder / f"{shot.name}{ending}.webp", shot.width, shot.height)
        context.close()


def _take_screens(browser: Browser, account: Account, folder: Path) -> None:
    """Take the pictures of the terminal."""
    page = browser.new_page(device_scale_factor=SCALE, viewport={"width": 1400, "height": 1000})
    for screen in SCREENS:
        page.set_content(account.show(screen))
        width, height = page.evaluate("[figure.offsetWidth, figure.offsetHeight]")
        _save(page, folder / f"{screen.name}.webp", width, height)
        account.take_in()
    page.close()


def make(folder: Path) -> None:
    """Make all pictures.

    Args:
        folder: where they are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TZ"] = "UTC"
    time.tzset()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        account = Account(Path(name))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--hide-scrollbars"])
        lock = DaemonLock.acquire(account.home)  # the views are those of an account whose daemon runs
        try:
            _take_screens(browser, account, folder)
            _take_shots(browser, account.home, folder)
        finally:
            lock.release()
            browser.close()


def main() -> int:
    """Make the pictures in the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: docs/images")
    make(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
