"""Only a browser of this machine that has opened the link reads the page, and nobody changes anything through it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import SECOND
from tests.web.conftest import Served, serve

PATHS = (
    "/", "/agents", "/quality", "/technical", "/sessions", "/live", "/live/events", "/health", "/health/checks", "/tables/overview/agents.csv",
    "/static/page.js",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_the_cookie_no_address_answers(week: Served, path: str) -> None:
    answer = week.ask(path, cookie="")
    assert answer.status == 403
    assert "claude-hooks-otel serve" in answer.text


def test_a_wrong_cookie_and_a_wrong_token_are_refused(week: Served) -> None:
    name = week.cookie.partition("=")[0]
    assert week.ask("/", cookie=f"{name}=x").status == 403
    assert week.ask("/", cookie=f"{name}=ä").status == 403
    assert week.ask("/enter?token=x", cookie="").status == 403
    assert week.ask("/enter", cookie="").status == 403


def test_a_link_works_once_and_the_next_one_is_reported(empty: Served) -> None:
    link = empty.server.link
    first = empty.ask(link, cookie="")
    assert first.status == 200
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    second = empty.ask(link, cookie="")
    assert (second.status, "set-cookie" in second.headers) == (403, False)
    assert empty.links[-1] == empty.server.link != link


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
    ids=str,
)
def test_a_request_that_another_site_makes_is_refused(week: Served, headers: dict[str, str]) -> None:
    for path in ("/", "/live/events", "/tables/overview/agents.json"):
        answer = week.ask(path, **headers)
        assert answer.status == 403
        assert "backend" not in answer.text


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1", "127.0.0.1.attacker.example:80", "0.0.0.0:80", ""])
def test_a_foreign_name_that_points_to_loopback_is_refused(week: Served, host: str) -> None:
    answer = week.ask("/", Host=host)
    assert (answer.status, "backend" in answer.text) == (421, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_every_method_but_reading_is_refused(week: Served, method: str) -> None:
    assert week.ask("/", method=method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/vendor/../../app.py",
        "/sessions/..%2f..%2fetc%2fpasswd", "/tables/overview/..%2f..%2fagents.csv", "/tables/__class__/x.json", "/static/%00",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(week: Served, path: str) -> None:
    answer = week.ask(path)
    assert answer.status in (400, 404)
    assert not any(text in answer.text for text in ("root:", "import ", "Traceback"))


def test_a_browser_may_run_nothing_but_the_files_of_the_page(week: Served) -> None:
    for path in ("/", "/static/page.css", "/nowhere"):
        headers = week.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_page_has_a_script_or_a_style_inside(week: Served) -> None:
    for path in ("/", "/agents", "/quality", "/technical", "/sessions", "/live", "/health"):
        text = week.ask(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        scripts = text.split("<script")[1:]
        assert all(script.startswith((' src="/static/', ' type="application/json"')) for script in scripts)


def test_texts_of_people_are_never_html(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>`</code>"
    home = Home(tmp_path / "home")
    home.create()
    core = assemble_core(home, Config(), lambda: 1_800_000_000 * SECOND)
    at = 1_800_000_000 * SECOND
    with core.store.transaction():
        who = {"agent": '"><script>alert(3)</script>', "project": "</script>"}
        texts = json.dumps({"prompt": {"length": 9, "sha256": "0", "text": attack}})
        core.facts.upsert(
            model.Session(session_id="</script>'\"&", first_seen_ns=at, last_seen_ns=at, **who),
            model.SessionRun(session_id="</script>'\"&", started_ns=at, source="startup", **who),
            model.Turn(prompt_id="p", session_id="</script>'\"&", started_ns=at, ended_ns=at + SECOND, prompts_in_transcript=1, branch=attack, **who),
            model.Content(owner_id="p", source="hook", at_ns=at, texts=texts),
            model.ToolCall(
                tool_use_id="t", session_id="</script>'\"&", prompt_id="p", tool=attack, outcome="success", started_ns=at, ended_ns=at, **who
            ),
        )  # fmt: skip
    core.store.close()
    with serve(home, lambda: at + SECOND) as served:
        (link,) = {row["session_id"] for row in served.table("sessions", "sessions")}
        assert link == "</script>'\"&"
        for path in (
            "/",
            "/agents",
            "/technical",
            "/sessions",
            "/sessions?q=%3Cscript%3Ex",
            "/sessions/%3C%2Fscript%3E%27%22%26",
        ):
            text = served.ask(path).text
            assert "<script>" not in text, path
            assert "<img" not in text, path
            assert "</script>'" not in text, path
        assert "&lt;script&gt;alert(1)" in served.ask("/sessions").text


def test_reading_every_page_changes_no_file(week: Served) -> None:
    def digests() -> dict[str, str]:
        files = [path for path in week.home.root.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digests()
    for path in PATHS:
        if path not in ("/live/events", "/health/checks"):
            assert week.ask(path).status == 200
    assert digests() == before


def test_the_page_listens_on_loopback_only(week: Served) -> None:
    assert week.server._socket.getsockname()[0] == "127.0.0.1"


def test_a_range_without_sense_is_explained(week: Served) -> None:
    for query in ("range=never", "last=7", "since=2026-13-01", "last=999999w", "since=0001-01-01", "tz=Mars/Olympus"):
        answer = week.ask(f"/?{query}")
        assert answer.status in (200, 400), query
        assert "Traceback" not in answer.text
        assert answer.status == 200 or "This range makes no sense" in answer.text


def test_a_damaged_store_is_explained(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.store.write_bytes(b"no database" * 1000)
    with serve(home) as served:
        answer = served.ask("/")
        assert answer.status == 503
        assert "The store cannot be read" in answer.text
