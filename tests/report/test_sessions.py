"""``sessions``: the list, and one session as a timeline."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.report.conftest import Cli

BEGIN = 1_800_000_000 * SECOND


@pytest.fixture
def work(home: Home) -> None:
    """One session of each kind: ended, killed, and one that is still open."""
    home.create()
    core = assemble_core(home, Config())
    with core.store.transaction():
        for number, (session_id, reason) in enumerate([("aaaa-1", "logout"), ("aaaa-2", "killed"), ("bbbb", None)]):
            begin = BEGIN + number * 3600 * SECOND
            end = None if reason is None else begin + 600 * SECOND
            for fact in (
                model.Session(
                    session_id=session_id,
                    first_seen_ns=begin,
                    last_seen_ns=begin + 600 * SECOND,
                    agent="backend",
                    project="shop" if number else "docs",
                ),
                model.SessionRun(
                    session_id=session_id, started_ns=begin, source="startup", ended_ns=end, end_reason=reason
                ),
                model.Turn(
                    prompt_id=f"p{number}",
                    session_id=session_id,
                    started_ns=begin + SECOND,
                    branch="main",
                    active_ns=3 * SECOND,
                ),
                model.ApiRequest(
                    message_id=f"m{number}",
                    answer_id="",
                    session_id=session_id,
                    agent_type="main",
                    model="claude-sonnet-4-5",
                    at_ns=begin + 2 * SECOND,
                    input_tokens=100,
                    cache_read_tokens=20,
                    output_tokens=7,
                    cost=DOLLAR // 4,
                    agent="backend",
                    project="shop",
                ),
                model.ToolCall(
                    tool_use_id=f"t{number}",
                    session_id=session_id,
                    tool="Bash",
                    outcome="success",
                    started_ns=begin + 3 * SECOND,
                    duration_ns=2 * SECOND,
                ),
                model.PermissionWait(
                    session_id=session_id, asked_ns=begin + 4 * SECOND, tool="Bash", decision="accept", waited_ns=SECOND
                ),
                model.AuxiliaryUsage(
                    session_id=session_id, model="claude-haiku-4-5", part="", at_ns=begin + 5 * SECOND, cost=DOLLAR // 2
                ),
            ):
                core.facts.upsert(fact)
    core.store.close()


@pytest.mark.usefixtures("work")
def test_the_list_has_the_newest_first_with_cost_and_end(cli: Cli) -> None:
    found = json.loads(cli("sessions", "--json").output)["sessions"]
    assert [(row["session_id"], row["outcome"]) for row in found] == [
        ("bbbb", "open"),
        ("aaaa-2", "killed"),
        ("aaaa-1", "logout"),
    ]
    newest = found[0]
    assert (newest["tokens_in"], newest["tokens_out"], newest["requests"], newest["turns"]) == (120, 7, 1, 1)
    assert (newest["cost"], newest["branch"], newest["model"]) == (0.75, "main", "claude-sonnet-4-5")
    assert newest["seen_ns"] - newest["began_ns"] == 600 * SECOND


@pytest.mark.usefixtures("work")
def test_a_list_is_cut_and_filtered(cli: Cli) -> None:
    assert "note: 2 older sessions are not shown." in cli("sessions", "--top", "1").output
    only = json.loads(cli("sessions", "--project", "Docs", "--json").output)
    assert [row["session_id"] for row in only["sessions"]] == ["aaaa-1"]
    assert "There are no sessions in this range." in cli("sessions", "--until", "2020-01-01").output
    assert len(list(csv.DictReader(cli("sessions", "--csv").output.splitlines()))) == 3


@pytest.mark.usefixtures("work")
def test_a_timeline_has_every_step_and_the_cost_along_the_way(cli: Cli) -> None:
    steps = json.loads(cli("sessions", "aaaa-1", "--json").output)["steps"]
    assert [step["kind"] for step in steps] == ["start", "turn", "request", "tool", "wait", "request", "end"]
    assert [step["seconds"] for step in steps] == [None, 3.0, None, 2.0, 1.0, None, None]
    lines = cli("sessions", "aaaa-1", "--tz", "UTC").output.splitlines()
    assert lines[-1].split() == ["08:10:00", "end", "main", "logout", "$0.7500"]


@pytest.mark.usefixtures("work")
def test_the_beginning_of_an_id_is_enough_if_it_is_clear(cli: Cli) -> None:
    assert "Session bbbb" in cli("sessions", "b").output
    both = cli("sessions", "aaaa", code=1).stderr
    assert "2 sessions begin with aaaa. Write more of the id." in both
    assert "aaaa-2" in both
    assert "There is no session zzz." in cli("sessions", "zzz", code=1).stderr


@pytest.mark.usefixtures("work")
def test_the_first_words_are_there_only_where_prompts_are_kept(cli: Cli, home: Home) -> None:
    assert [row["first_words"] for row in json.loads(cli("sessions", "--json").output)["sessions"]] == [None] * 3
    core = assemble_core(home, Config())
    with core.store.transaction():
        texts = json.dumps({"prompt": {"length": 20, "sha256": "0", "text": "please fix the cart"}})
        core.facts.upsert(model.Content(owner_id="p2", source="hook", at_ns=BEGIN, texts=texts))
    core.store.close()
    assert json.loads(cli("sessions", "--json").output)["sessions"][0]["first_words"] == "please fix the cart"


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("session", [(), ("bbbb",)])
def test_no_line_is_longer_than_the_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int, session: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli("sessions", *session).output.splitlines()
    assert all(len(line) <= columns and line == line.rstrip() for line in lines)


def test_imported_sessions_are_listed(cli: Cli) -> None:
    cli("import")
    found = json.loads(cli("sessions", "--top", "0", "--json").output)
    assert len(found["sessions"]) == found["known"] > 0
    assert {row["outcome"] for row in found["sessions"]} == {"imported"}
    assert sum(row["cost"] for row in found["sessions"]) == pytest.approx(
        json.loads(cli("report", "all", "--json").output)["total"]["cost_usd"]
    )


def test_without_a_store_the_next_step_is_named(cli: Cli, tmp_path: Path) -> None:
    assert "Nothing was captured yet" in cli("sessions").output
