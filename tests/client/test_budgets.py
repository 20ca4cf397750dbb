"""The real client shows what the daemon says about budgets, refuses prompts if their owner wants it, and can ask for the bill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client.client import LONGEST_SCENARIO, missing, play
from tests.support.terminal import missing as missing_terminal

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(LONGEST_SCENARIO + 30),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.mark.skipif(missing_terminal() is not None, reason=str(missing_terminal()))
def test_a_person_sees_a_reached_budget_once(tmp_path: Path) -> None:
    """A program before shows nothing, and leaves the message for the person."""
    found = play("budget_message", tmp_path / "world")
    assert found["silent"] == {"code": 0, "errors": "", "result": "a short answer"}
    [message] = found["messages"]
    assert message.startswith("Budget for this month: 100% used: $0.03 of $0.01")
    assert "Budget for this month: 100% used" in found["shown"]


def test_a_used_up_budget_refuses_prompts_until_its_owner_lifts_the_block(tmp_path: Path) -> None:
    found = play("budget_block", tmp_path / "world")
    first, _, after = found["runs"]
    assert (first["result"], after["result"]) == ("spent", "a short answer")
    assert found["while_blocked"] == 0
    assert "is used up" in found["output"]
    assert "budgets --lift" in found["output"]
    assert "Prompts are allowed again" in found["lifted"]
    assert not found["exists"]
    assert [run["errors"] for run in (first, after)] == ["", ""]


def test_the_commands_of_the_plugin_answer_in_a_session(tmp_path: Path) -> None:
    found = play("plugin_commands", tmp_path / "world")
    for name, told in (
        ("cost", "report RANGE --by model"),
        ("report", "report script:report"),
        ("live", "serve --open script:live"),
    ):
        assert (found[name]["code"], found[name]["errors"]) == (0, "")
        assert f"`claude-hooks-otel {told}`" in found[name]["prompt"]
    assert [found[name]["result"] for name in ("cost", "report")] == ["that is the cost", "that is the report"]
    cost, budgets = found["cost"]["outputs"]
    assert "model" in cost
    assert "this month" in budgets
    assert "$100.00" in budgets


def test_an_agent_asks_for_its_bill_over_mcp(tmp_path: Path) -> None:
    found = play("mcp_tools", tmp_path / "world")
    assert (found["code"], found["errors"], found["result"]) == (0, "", "that is the bill")
    [answer] = [text for text in found["outputs"] if "cost_usd" in text]
    content = json.loads(answer)
    text = content if isinstance(content, str) else content[0]["text"]
    usage, _ = json.JSONDecoder().raw_decode(text)  # the client can add a reminder for the model
    assert usage["total"]["cost_usd"] == found["reported"]["cost_usd"]
    assert [row["model"] for row in usage["rows"]] == ["claude-sonnet-4-5"]
    assert any("last 7: a number with h, d or w is expected" in text for text in found["outputs"])
