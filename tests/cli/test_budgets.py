"""``budgets`` shows what is used and expected, what blocks prompts, and lifts blocks."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.delivery.notifications import WAITING
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.prompt_files import PromptFiles
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store import connection
from claude_hooks_otel.units import DOLLAR, HOUR
from tests.cli.conftest import Account

_numbers = itertools.count()


def spend(account: Account, dollars: float) -> None:
    core = assemble_core(account.home, Config())
    request = model.ApiRequest(
        message_id=str(next(_numbers)), answer_id="", model="m", agent_type="main", at_ns=time.time_ns(), input_tokens=1,
        output_tokens=0, cost=round(dollars * DOLLAR), agent="backend", project="shop",
    )  # fmt: skip
    with core.store.transaction():
        core.facts.upsert(request)
    core.store.close()


def configure(account: Account, text: str) -> None:
    account.home.create()
    account.home.config.write_text(f"[budgets]\n{text}\n")


def test_a_budget_has_its_used_amount_and_forecast(account: Account) -> None:
    configure(account, "month = 40\n[budgets.agent.Backend]\nmonth = 100")
    spend(account, 10)
    text = account.ok("budgets")
    assert "this month, agent backend" in text
    assert "$40.00  $10.00    25%" in text
    assert "Prompts are refused" not in text
    found = json.loads(account.ok("budgets", "--json"))
    assert [(each["scope"], each["limit_usd"], each["used_usd"]) for each in found["budgets"]] == [
        ("all", 40, 10),
        ("agent", 100, 10),
    ]
    reported = json.loads(account.ok("report", "month", "--json"))
    assert reported["total"]["cost_usd"] == found["budgets"][0]["used_usd"]


def test_the_report_ends_with_the_lines_of_the_budgets(account: Account) -> None:
    configure(account, "month = 40\n[budgets.agent.Backend]\nmonth = 100\n[budgets.agent.frontend]\nmonth = 5")
    spend(account, 10)
    lines = account.ok("budgets").splitlines()
    text = account.ok("report")
    assert text.splitlines()[-len(lines) - 1 :] == [*lines, ""]
    assert "agent frontend" not in account.ok("report", "--agent", "backend")
    assert "agent backend" in account.ok("report", "--agent", "Backend")
    assert "this month" not in account.ok("report", "month")
    assert isinstance(json.loads(account.ok("report", "--json")), list)
    account.home.config.unlink()
    account.home.last_config.unlink(missing_ok=True)
    assert account.ok("report") == text[: text.index("Budgets\n")]


def test_a_block_is_named_and_lifted(account: Account) -> None:
    configure(account, "month = 5\nblock = true")
    spend(account, 6)
    PromptFiles(account.home).block({None: ("used up", time.time_ns() + HOUR)})
    assert "Prompts are refused: the budget for this month is used up" in account.ok("budgets")
    assert "Prompts are allowed again" in account.ok("budgets", "--lift")
    assert list(account.home.prompt.iterdir()) == []
    assert "Prompts are refused" not in account.ok("budgets")
    assert "No budget blocks prompts." in account.ok("budgets", "--lift")
    [budget] = json.loads(account.ok("budgets", "--json"))["budgets"]
    assert not budget["blocks_prompts"]


def test_a_block_that_cannot_be_lifted_is_an_error(account: Account) -> None:
    configure(account, "month = 5\nblock = true")
    spend(account, 6)
    account.home.lifted.mkdir()
    result = account.run("budgets", "--lift")
    assert (result.exit_code, "The block cannot be lifted" in result.stderr) == (1, True)


def test_without_a_budget_two_lines_to_add_are_shown(account: Account) -> None:
    assert "[budgets]\nday = 20" in account.ok("budgets")


def test_a_notification_that_was_not_accepted_is_named(account: Account) -> None:
    configure(account, "month = 5")
    spend(account, 6)
    with contextlib.closing(sqlite3.connect(account.home.store)) as store:
        row = ("a", "webhook", "[]", time.time_ns() + HOUR, WAITING, 1, "HTTP 503")
        store.execute("INSERT INTO notification VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        store.commit()
    assert "A notification was not accepted by the webhook: HTTP 503." in account.ok("budgets")


def test_a_busy_store_is_an_error(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configure(account, "month = 5")
    spend(account, 6)
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(account.home.store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        result = account.run("budgets")
    assert (result.exit_code, "is locked by another process" in result.stderr) == (1, True)
