"""The cost in the client's status line checks the cost in the store, and never adds to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.store.connection import connect
from tests.report.conftest import Cli

Say = Callable[[float], str]


@pytest.fixture
def say(cli: Cli, home: Home) -> Say:
    """Import a session, and let its status line say what it cost: a share of what the store has. Return what ``audit`` prints."""
    cli("import")

    def say(share: float) -> str:
        with closing(connect(home.store)) as store:
            [(session, cost, at_ns)] = store.execute(
                "SELECT session_id, SUM(cost), MAX(at_ns) FROM api_request WHERE error IS NULL GROUP BY session_id ORDER BY 2 DESC LIMIT 1"
            )
            [(more,)] = store.execute(
                "SELECT COALESCE(SUM(cost), 0) FROM auxiliary_usage WHERE session_id = ?", (session,)
            )
            store.execute(
                "INSERT OR REPLACE INTO status_reading (session_id, at_ns, cost) VALUES (?, ?, ?)",
                (session, at_ns + 60_000_000_000, round((cost + more) * share)),
            )
        return " ".join(cli("audit").output.split())

    return say


def test_the_same_cost_is_said(say: Say) -> None:
    text = say(1.0)
    assert "1 sessions have the cost that Claude Code's status line counted." in text
    assert "note" not in text


def test_a_smaller_and_a_greater_cost_is_said(say: Say, cli: Cli) -> None:
    assert "status line counted" in (text := say(0.5))
    assert "have the cost" not in text
    [difference] = json.loads(cli("audit", "--json").output)["costs"]["differences"]
    assert difference["store_usd"] > difference["client_usd"]
    say(2.0)
    [difference] = json.loads(cli("audit", "--json").output)["costs"]["differences"]
    assert difference["client_usd"] == pytest.approx(2 * difference["store_usd"])


def test_an_unfinished_account_explains_a_missing_cost(say: Say, home: Home) -> None:
    with closing(connect(home.store)) as store:
        store.execute("DELETE FROM cost_state")
    assert "requests such as titles are in no transcript" in say(1.1)


def test_no_report_counts_what_the_status_line_says(say: Say, cli: Cli) -> None:
    before = cli("report", "all", "--json").output
    say(100.0)
    assert json.loads(cli("report", "all", "--json").output)["total"] == json.loads(before)["total"]
