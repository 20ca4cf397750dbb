"""The page in a real browser: each page with data, empty, and while sessions run; light and dark; on a phone and on a desk."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.sources.registration import command
from tests.support.places import EMIT, ROOT
from tests.support.real_daemon import Installation
from tests.web.conftest import AXE, PAGES, Served, serve

pytestmark = pytest.mark.web

WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason=f"axe-core is not installed in {AXE.parents[2].name}")


# -- every page --------------------------------------------------------------------------------------------------------------------


@needs_axe
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_with_data_is_sound_and_accessible(week: Served, visit: Any, scheme: str, width: int) -> None:
    tab = visit(week, width=width, scheme=scheme)
    session = max(week.table("sessions", "sessions", "?range=all"), key=lambda row: row["requests"])["session_id"]
    for path in (
        *PAGES,
        f"/sessions/{session}",
        "/?range=today",
        "/sessions?agent=backend&sort=cost",
        "/?agent=nobody",
        "/nowhere",
    ):
        page = tab.open(path)
        assert tab.violations() == [], path
        tab.faults = [fault for fault in tab.faults if path != "/nowhere" or "404" not in fault]
        tab.assert_sound()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(background.removeprefix("rgb(").split(",")[0])
        assert (red < 60) == (scheme == "dark")


@needs_axe
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_budgets_are_sound_and_accessible(budgeted: Served, visit: Any, scheme: str, width: int) -> None:
    tab = visit(budgeted, width=width, scheme=scheme)
    for path in ("/", "/?agent=nobody"):
        page = tab.open(path)
        assert page.locator(".budget").count() == 4
        assert "Prompts are refused" in page.inner_text(".budget.bad")
        lengths = page.eval_on_selector_all(
            ".budget .done", "bars => bars.map(bar => bar.getBoundingClientRect().width)"
        )
        whole = page.locator(".budget .track").first.bounding_box()["width"]
        assert lengths[0] == pytest.approx(whole)
        assert 0 < lengths[1] < whole
        assert tab.violations() == []
        tab.assert_sound()


@needs_axe
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_of_an_empty_home_is_sound_and_helps(empty: Served, visit: Any, scheme: str, width: int) -> None:
    tab = visit(empty, width=width, scheme=scheme)
    for path in PAGES:
        page = tab.open(path)
        assert tab.violations() == [], path
        tab.assert_sound()
        text = page.inner_text("main")
        if path == "/live":
            assert "No session runs now" in text
        elif path != "/health":
            assert "claude-hooks-otel import" in text


def test_charts_are_drawn(week: Served, visit: Any) -> None:
    tab = visit(week)
    for path in ("/", "/quality", "/technical", "/?measure=tokens&stack=agent", "/?measure=sessions", "/?range=today"):
        page = tab.open(path)
        box = page.locator(".chart canvas").bounding_box()
        assert box["width"] > 600
        colours = page.evaluate(
            "() => { const canvas = document.querySelector('.chart canvas');"
            " const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            " const found = new Set(); for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255)"
            " found.add(`${data[at]},${data[at + 1]},${data[at + 2]}`); return [...found]; }"
        )
        assert len(colours) > 1, path
    tab.assert_sound()


# -- from a number to the sessions -------------------------------------------------------------------------------------------------


def test_a_click_on_the_bar_of_a_day_leads_to_sessions_that_add_up(week: Served, visit: Any) -> None:
    tab = visit(week)
    page = tab.open("/?since=2026-11-16&until=2026-11-27&tz=UTC")
    chart = json.loads(
        page.inner_text("#chart-time") or page.evaluate("document.getElementById('chart-time').textContent")
    )
    place = 3
    cost = sum(series["values"][place] for series in chart["series"])
    over = page.locator(".chart .u-over").bounding_box()
    step = over["width"] / (len(chart["labels"]) + 0.2)
    page.mouse.move(over["x"] + step * (place + 0.6), over["y"] + over["height"] - 12)
    assert "19 Nov 2026" in page.inner_text(".tip")
    page.mouse.click(over["x"] + step * (place + 0.6), over["y"] + over["height"] - 12)
    page.wait_for_url("**/sessions?*")
    assert f"since={chart['labels'][place]}" in page.url
    assert float(page.get_attribute(".sums [data-exact]", "data-exact")) == pytest.approx(cost)
    assert "belongs to no session" not in page.inner_text(".sums")
    picodollars = page.eval_on_selector_all(
        "tbody td.barred", "cells => cells.map(cell => Number(cell.dataset.value ?? 0))"
    )
    assert sum(picodollars) / 1e12 == pytest.approx(cost)
    tab.assert_sound()


def test_a_click_on_an_agent_leads_to_its_sessions_and_one_to_its_waterfall(week: Served, visit: Any) -> None:
    tab = visit(week)
    page = tab.open("/")
    page.click("#table-agents tbody tr:first-child td:first-child a")
    page.wait_for_url("**/sessions?agent=backend")
    assert "agent: backend" in page.inner_text(".chips")
    page.click("tbody tr:first-child td:first-child a")
    page.wait_for_url("**/sessions/*")
    assert page.locator(".waterfall .bar").count() > 2
    assert page.locator(".waterfall .bar.request rect").first.get_attribute("width").endswith("%")
    tab.assert_sound()


# -- without a mouse, and without JavaScript ---------------------------------------------------------------------------------------


def test_the_keyboard_reaches_search_tables_and_the_content(week: Served, visit: Any) -> None:
    tab = visit(week)
    page = tab.open("/sessions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("storefront")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=storefront*")
    assert page.locator("tbody tr").count() > 5
    page = tab.open("/")
    button = page.locator("#table-agents th button", has_text="sessions")
    button.focus()
    page.keyboard.press("Enter")
    values = page.eval_on_selector_all(
        "#table-agents tbody td:nth-child(5)", "cells => cells.map(each => +each.dataset.value)"
    )
    assert values == sorted(values, reverse=True)
    assert page.get_attribute("#table-agents th:nth-child(5)", "aria-sort") == "descending"
    tab.assert_sound()


def test_the_switch_of_colours_stays_on_the_next_page(week: Served, visit: Any) -> None:
    tab = visit(week)
    page = tab.open("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click(".theme")
    page.click(".theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page = tab.open("/agents")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    tab.assert_sound()


def test_the_page_reads_well_without_javascript(week: Served, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    name, _, value = week.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}])
    page = context.new_page()
    page.goto(f"{week.address}/?range=all")
    assert page.locator("#table-times tbody tr").count() > 10
    page.select_option("select[name=agent]", "backend")
    page.click(".filters .apply")
    assert "agent=backend" in page.url
    assert page.locator("#table-agents tbody tr").count() == 1
    context.close()


# -- while sessions run ------------------------------------------------------------------------------------------------------------


class Running:
    """A daemon, and a session whose events the real hook captures."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder, {})
        self.folder = folder
        self.session_id = "5e551044-0000-4000-8000-00000000beef"

    def hook(self, event: str, **payload: Any) -> float:
        """Run the hook of an event as the client does, in this process's name. Return the time."""
        content = {
            "session_id": self.session_id, "transcript_path": str(self.folder / "none.jsonl"), "cwd": str(self.folder),
            "hook_event_name": event, **payload,
        }  # fmt: skip
        environ = {
            "PATH": "/usr/bin:/bin", HOME_VARIABLE: str(self.installation.home.root), "CLAUDE_AGENT_ID": "backend",
            "CLAUDE_CODE_SESSION_ID": self.session_id, "CLAUDE_AGENT_PROJECT": "storefront",
        }  # fmt: skip
        began = time.monotonic()
        subprocess.run(
            ["/bin/sh", "-c", f"{command(event, str(EMIT))}"],
            input=json.dumps(content).encode(),
            env=environ,
            check=True,
        )
        return began


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    session = Running(tmp_path_factory.mktemp("running"))
    try:
        session.installation.start()
        yield session
    finally:
        session.installation.close()


@needs_axe
def test_a_running_session_appears_within_two_seconds_and_leaves(running: Running, visit: Any) -> None:
    with serve(running.installation.home) as served:
        tab = visit(served)
        page = tab.open("/live")
        page.wait_for_selector("[data-live]:has-text('Connected')")
        began = running.hook("SessionStart", source="startup", model="claude-opus-4-5")
        page.wait_for_selector(".live-session", timeout=90_000)
        shown = time.monotonic() - began
        assert "backend on storefront" in page.inner_text(".live-head")
        running.hook("UserPromptSubmit", prompt="work", prompt_id="p1")
        page.wait_for_selector(".live-session .badge:has-text('thinking')", timeout=90_000)
        assert tab.violations() == []
        tab.assert_sound()
        for path in PAGES:
            tab.open(path)
            assert tab.violations() == [], path
            tab.assert_sound()
        page = tab.open("/live")
        running.hook("Stop")
        page.wait_for_selector(".live-session .badge:has-text('idle')", timeout=90_000)
        running.hook("SessionEnd", reason="prompt_input_exit")
        page.wait_for_selector("text=No session runs now", timeout=90_000)
        tab.assert_sound()
    print(
        f"from the hook to the page: {shown:.2f} s"
    )  # bench/page.py measures it; a test does not depend on the machine


def test_the_live_page_says_when_the_server_is_gone(running: Running, visit: Any) -> None:
    with serve(running.installation.home) as served:
        tab = visit(served)
        page = tab.open("/live")
        page.wait_for_selector("[data-live]:has-text('Connected')")
    page.wait_for_selector("[data-live]:has-text('was lost')")


def test_the_command_prints_a_link_that_opens_the_page(week_home: Any, browser: Any, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), HOME_VARIABLE: str(week_home.root), "TERM": "dumb"}
    line = [str(ROOT / ".venv" / "bin" / "python")] if (ROOT / ".venv" / "bin" / "python").exists() else ["python3"]
    with subprocess.Popen(
        [*line, "-m", "claude_hooks_otel", "serve", "--port", "0"], stdout=subprocess.PIPE, env=environ, text=True
    ) as process:
        assert process.stdout is not None
        link = process.stdout.readline().split()[-1]
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        page.wait_for_url("**/")
        page.wait_for_selector("h1:has-text('Overview')")
        assert "/enter" not in page.url
        context.close()
        process.terminate()
        assert "The link works once" in process.stdout.read()
    assert process.returncode in (0, -15)
