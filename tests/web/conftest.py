"""The page of a home, served as the command serves it, and a real browser that looks at it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.units import SECOND
from claude_hooks_otel.web.server import PageServer
from tests.support import sample_week
from tests.support.places import ROOT

PAGES = ("/", "/agents", "/quality", "/technical", "/sessions", "/live", "/health")
AXE = ROOT / ".cache" / "page" / "node_modules" / "axe-core" / "axe.min.js"
WEEK_NS = round(sample_week.NOW.timestamp()) * SECOND


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Served:
    """A running page. ``cookie`` is what a browser has after it has opened the link."""

    def __init__(self, server: PageServer, home: Home, links: list[str]) -> None:
        self.server, self.home, self.links = server, home, links
        self.port = server.port
        self.address = f"http://127.0.0.1:{server.port}"
        self.cookie = self.ask(server.link, cookie="").headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, *, method: str = "GET", cookie: str | None = None, **headers: str) -> Answer:
        """Send a request, with the cookie unless another one is given. Underscores in names of headers are hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        own = {"Cookie": self.cookie if cookie is None else cookie}
        given = own | {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path.removeprefix(self.address), headers=given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())

    def table(self, page: str, table: str, query: str = "") -> list[dict[str, Any]]:
        """Return the rows of a table with exact values."""
        rows: list[dict[str, Any]] = self.ask(f"/tables/{page}/{table}.json{query}").json["rows"]
        return rows


@contextlib.contextmanager
def serve(home: Home, now_ns: Callable[[], int] = time.time_ns) -> Iterator[Served]:
    """Serve the page of a home while the block runs."""
    links: list[str] = []
    server = PageServer(home, os.environ, 0, links.append, now_ns)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Served(server, home, links)
    finally:
        server.stop()
        thread.join()


@pytest.fixture(scope="session")
def utc() -> Iterator[None]:
    """The zone of this machine is UTC, also for the browser."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture(scope="session")
def week_home(tmp_path_factory: pytest.TempPathFactory, utc: None) -> Home:
    """A home with two weeks of work."""
    home = Home(tmp_path_factory.mktemp("week") / "home")
    sample_week.make(home, keeps_words=True)
    return home


@pytest.fixture(scope="session")
def week(week_home: Home) -> Iterator[Served]:
    """The page of two weeks of work, on their last evening."""
    with serve(week_home, lambda: WEEK_NS) as served:
        yield served


BUDGETS = """[budgets]
time_zone = "UTC"
block = true
day = 5
month = 1000
[budgets.agent.backend]
week = 4000
[budgets.project.a-project-with-a-very-long-name-that-nobody-abbreviates]
month = 12.5
"""


@pytest.fixture(scope="session")
def budgeted(week_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of two weeks of work with budgets. One of them is used up."""
    home = Home(tmp_path_factory.mktemp("budgeted") / "home")
    shutil.copytree(week_home.root, home.root)
    home.config.write_text(BUDGETS)
    with serve(home, lambda: WEEK_NS) as served:
        yield served


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory, utc: None) -> Iterator[Served]:
    """The page of a home in which nothing was ever captured."""
    with serve(Home(tmp_path_factory.mktemp("empty") / "home")) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium. Without one, the test is skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user account without any settings, for what `doctor` looks at."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLAUDE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class Visit:
    """A tab of the browser, and everything that went wrong in it."""

    def __init__(self, browser: Any, served: Served, *, width: int = 1440, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        name, _, value = served.cookie.partition("=")
        self.context.add_cookies([{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}])
        self.served = served
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.context.set_default_timeout(90_000)  # a busy machine is no fault of the page
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._request)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.served.address, "data:")):
            self.elsewhere.append(request.url)

    def open(self, path: str) -> Any:
        self.page.goto(self.served.address + path)
        if path == "/health":
            self.page.wait_for_selector("#checks .findings")
        return self.page

    def violations(self) -> list[str]:
        """Return what axe-core finds in the page that is open."""
        self.page.evaluate(
            AXE.read_text(encoding="utf-8")
        )  # the protocol of the browser: no policy of the page forbids it
        found = self.page.evaluate("async () => (await axe.run()).violations")
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]

    def assert_sound(self) -> None:
        assert self.faults == []
        assert self.elsewhere == []
        assert self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.fixture
def visit(browser: Any, account: Path) -> Iterator[Callable[..., Visit]]:
    """Open tabs. They are closed at the end."""
    with contextlib.ExitStack() as opened:

        def open_tab(served: Served, **options: Any) -> Visit:
            tab = Visit(browser, served, **options)
            opened.callback(tab.context.close)
            return tab

        yield open_tab
