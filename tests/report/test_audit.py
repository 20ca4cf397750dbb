"""``audit``: the store against the transcripts."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.store.connection import connect
from tests.report.conftest import Cli
from tests.support.corpus import SCENARIOS, Scenario


def run_sql(home: Home, statement: str) -> None:
    with closing(connect(home.store)) as connection:
        connection.execute(statement)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_all_recorded_sessions_agree(cli: Cli, tmp_path: Path, name: str) -> None:
    Scenario(name).write_transcripts(tmp_path / ".claude" / "projects")
    cli("import")
    assert json.loads(cli("audit", "--json").output)["differences"] == []


def test_the_store_agrees_with_the_transcripts(cli: Cli) -> None:
    cli("import")
    found = json.loads(cli("audit", "--json").output)
    assert (found["ok"], found["differences"]) == (True, [])
    assert found["tokens"]["output"] > 0
    assert found["requests"] > 0
    assert "The store has the same numbers." in cli("audit").output


def test_a_number_that_differs_is_shown_and_an_error(cli: Cli, home: Home) -> None:
    cli("import")
    run_sql(
        home,
        "UPDATE api_request SET output_tokens = output_tokens + 1000 WHERE message_id = (SELECT MIN(message_id) FROM api_request WHERE error IS NULL)",
    )
    result = cli("audit", code=1)
    assert "1 requests differ without an explanation" in " ".join(result.stderr.split())
    (difference,) = json.loads(cli("audit", "--json", code=1).output)["differences"]
    assert difference["store"]["output"] - difference["transcript"]["output"] == 1000
    assert (difference["session_id"] in result.stdout, difference["reason"]) == (True, "")


def test_a_request_that_only_one_side_has_is_a_difference(cli: Cli, home: Home) -> None:
    cli("import")
    run_sql(
        home, "DELETE FROM api_request WHERE message_id = (SELECT MIN(message_id) FROM api_request WHERE error IS NULL)"
    )
    run_sql(
        home,
        "UPDATE api_request SET message_id = 'other' WHERE message_id = (SELECT MAX(message_id) FROM api_request WHERE error IS NULL)",
    )
    found = json.loads(cli("audit", "--json", code=1).output)["differences"]
    assert sorted((bool(each["transcript"]), bool(each["store"])) for each in found) == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_a_deleted_transcript_explains_a_difference(cli: Cli, tmp_path: Path) -> None:
    cli("import")
    for path in (tmp_path / ".claude" / "projects").rglob("*.jsonl"):
        path.unlink()
    found = json.loads(cli("audit", "--json").output)
    assert {each["reason"] for each in found["differences"]} == {"the transcript was deleted"}
    assert "requests differ, because the transcript was deleted." in cli("audit").output


def test_answers_before_the_first_event_are_explained(cli: Cli, home: Home) -> None:
    cli("import")
    run_sql(home, "DELETE FROM imported_session")
    run_sql(home, "DELETE FROM session_run")
    run_sql(home, "DELETE FROM api_request")
    run_sql(
        home,
        "INSERT INTO ledger SELECT randomblob(8), 9000000000000000000, session_id, 'Stop', '', '', '', '' FROM session",
    )
    found = json.loads(cli("audit", "--json").output)
    assert {each["reason"] for each in found["differences"]} == {
        "it was answered before the first event that a hook captured"
    }


def test_one_session_can_be_audited(cli: Cli) -> None:
    cli("import")
    session = json.loads(cli("sessions", "--top", "1", "--json").output)["sessions"][0]["session_id"]
    assert json.loads(cli("audit", session, "--json").output)["sessions"] == 1
    assert "No sessions begin with zzz." in cli("audit", "zzz", code=1).stderr
    assert "a date or a time is expected" in cli("audit", "--since", "soon", code=1).stderr
