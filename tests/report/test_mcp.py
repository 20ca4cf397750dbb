"""An agent asks over MCP, through the SDK's own client and real standard input and output. The answers equal ``report`` and are small."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, ListToolsResult, TextContent

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.report.conftest import Cli
from tests.support.places import ROOT

LARGEST_ANSWER = 30_000
Ask = Callable[..., Any]


def asked(user: Path, *calls: tuple[str, dict[str, Any]]) -> tuple[ListToolsResult, list[CallToolResult]]:
    """Start the server, list its tools, and call some of them."""

    async def run() -> tuple[ListToolsResult, list[CallToolResult]]:
        command = str(Path(sys.executable).with_name("claude-hooks-otel"))
        environ = {"HOME": str(user), "PATH": "/usr/bin:/bin"}
        async with Client(StdioServerParameters(command=command, args=["mcp"], env=environ)) as client:
            return await client.list_tools(), [await client.call_tool(name, values) for name, values in calls]

    return asyncio.run(asyncio.wait_for(run(), 60))


def answer(result: CallToolResult) -> Any:
    [content] = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    assert json.loads(content.text) == result.structured_content
    assert len(content.text) <= LARGEST_ANSWER
    return result.structured_content


def error(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    assert result.is_error
    return content.text


def test_every_tool_only_reads_and_describes_itself(tmp_path: Path) -> None:
    tools = asked(tmp_path)[0].tools
    assert [tool.name for tool in tools] == ["usage", "budgets", "sessions", "session", "slow_tools", "failing_tools"]
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.description
        assert tool.output_schema
        for name, schema in tool.input_schema["properties"].items():
            assert "description" in schema, (tool.name, name)


def test_the_answers_equal_the_report(cli: Cli, home: Home, tmp_path: Path) -> None:
    cli("import")
    _, results = asked(
        tmp_path,
        ("usage", {"range": "all", "by": ["agent-type"]}),
        ("sessions", {"range": "all"}),
        ("slow_tools", {"range": "all"}),
        ("failing_tools", {"range": "all"}),
        ("budgets", {}),
    )
    usage, sessions, slow, failing, budgets = map(answer, results)
    reported = json.loads(cli("report", "all", "--by", "agent-type", "--json").stdout)
    assert usage["total"] == {name: value for name, value in reported["total"].items() if value is not None}
    assert [row["cost_usd"] for row in usage["rows"]] == [row["cost_usd"] for row in reported["rows"]]
    listed = json.loads(cli("sessions", "--top", "0", "--json").stdout)["sessions"]
    assert [each["session_id"] for each in sessions["sessions"]] == [each["session_id"] for each in listed]
    assert sum(tool["timed_calls"] for tool in slow["tools"]) <= reported["total"]["tool_calls"]
    assert slow["tools"] == sorted(slow["tools"], key=lambda tool: -tool["total_seconds"])
    by_tool = json.loads(cli("report", "all", "--by", "tool", "--json").stdout)["rows"]
    calls = {row["tool"]: row["tool_calls"] for row in by_tool if row.get("tool_calls")}
    assert {tool["tool"]: tool["calls"] for tool in failing["tools"]}.items() <= calls.items()
    assert budgets == {"budgets": []}
    _, [found] = asked(tmp_path, ("session", {"session_id": listed[0]["session_id"][:8], "top": 3}))
    session = answer(found)
    assert session["session_id"] == listed[0]["session_id"]
    assert (len(session["steps"]), session["next_step"]) == (3, 3)
    assert session["cost_usd"] == pytest.approx(listed[0]["cost"])


def test_an_answer_is_bounded_and_says_what_is_missing(home: Home, tmp_path: Path) -> None:
    core, now_ns = assemble_core(home, Config()), time.time_ns()
    with core.store.transaction():
        for number in range(200):
            more = {"agent": f"agent-{'x' * 40}-{number}", "project": "shop"}
            core.facts.upsert(
                model.Session(session_id=f"s{number:04}", first_seen_ns=now_ns, last_seen_ns=now_ns, **more),
                model.ApiRequest(
                    message_id=str(number), answer_id="", session_id=f"s{number:04}", model="m", agent_type="main", at_ns=now_ns,
                    input_tokens=1, output_tokens=1, cost=DOLLAR, **more,
                ),
                model.ToolCall(
                    tool_use_id=str(number), session_id="s0000", tool=f"tool-{number}", outcome="error", started_ns=now_ns,
                    ended_ns=now_ns + SECOND, duration_ns=SECOND, **more,
                ),
            )  # fmt: skip
    core.store.close()
    home.config.write_text("[budgets]\nmonth = 100\n")
    _, results = asked(
        tmp_path,
        ("usage", {"range": "today", "by": ["agent"], "top": 50}),
        ("usage", {"range": "today", "only": {"agent": f"Agent-{'x' * 40}-7"}}),
        ("sessions", {"range": "today", "top": 50}),
        ("session", {"session_id": "s0000"}),
        ("slow_tools", {"top": 50}),
        ("failing_tools", {"top": 50}),
        ("budgets", {}),
    )
    usage, one, sessions, session, slow, failing, budgets = map(answer, results)
    assert (len(usage["rows"]), usage["rows_left_out"], usage["total"]["cost_usd"]) == (50, 150, 200)
    assert one["total"]["cost_usd"] == 1
    assert (len(sessions["sessions"]), sessions["left_out"]) == (50, 150)
    assert (len(session["steps"]), session["next_step"]) == (50, 50)
    assert (len(slow["tools"]), slow["left_out"]) == (50, 150)
    assert (len(failing["tools"]), failing["left_out"]) == (50, 150)
    assert (budgets["budgets"][0]["used_usd"], budgets["budgets"][0]["title"]) == (200, "this month")


@pytest.mark.parametrize(
    ("tool", "values", "message"),
    [
        ("usage", {"range": "fortnight"}, "'today', 'yesterday', 'week', 'month' or 'all'"),
        ("usage", {"last": "7"}, ": last 7: a number with h, d or w is expected"),
        ("usage", {"range": "today", "last": "7d"}, "a range is one of"),
        ("usage", {"time_zone": "Mars"}, ": time_zone Mars: a time zone is expected"),
        ("usage", {"by": ["colour"]}, "There is no group 'colour'. These are known: hour, day"),
        ("usage", {"by": ["day", "agent", "model"]}, "at most 2 items"),
        ("usage", {"by": ["day", "day"]}, "two different ones"),
        ("usage", {"top": 1000}, "less than or equal to 50"),
        ("session", {"session_id": "nothing"}, "There is no session 'nothing'"),
        ("session", {}, "required"),
    ],
)
def test_bad_input_is_an_error_that_says_what_is_expected(
    cli: Cli, tmp_path: Path, tool: str, values: dict[str, Any], message: str
) -> None:
    cli("import")
    _, [result] = asked(tmp_path, (tool, values))
    assert message in error(result)


def test_without_a_store_the_answer_names_the_next_step(tmp_path: Path) -> None:
    _, [result] = asked(tmp_path, ("budgets", {}))
    assert "Nothing was captured yet" in error(result)


def test_no_answer_contains_a_prompt_unless_its_owner_keeps_prompts(home: Home, tmp_path: Path) -> None:
    now_ns = time.time_ns()
    core = assemble_core(home, Config(), lambda: now_ns)
    texts = json.dumps({"prompt": {"length": 3, "sha256": "", "text": "a private prompt"}})
    with core.store.transaction():
        more = {"session_id": "one", "agent": "backend", "project": "shop"}
        core.facts.upsert(
            model.Session(first_seen_ns=now_ns, last_seen_ns=now_ns, **more),
            model.Turn(prompt_id="p", started_ns=now_ns, **more),
            model.Content(owner_id="p", source="hook", at_ns=now_ns, texts=texts),
        )
    core.store.close()
    shown = []
    for prompts in ("false", "true"):
        home.config.write_text(f"[capture]\nprompts = {prompts}\n")
        _, results = asked(tmp_path, ("sessions", {}), ("session", {"session_id": "one"}))
        shown.append(["a private prompt" in json.dumps(answer(result)) for result in results])
    assert shown == [[False, False], [True, False]]


def test_the_page_on_mcp_names_every_tool_and_its_fields(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    for tool in asked(tmp_path)[0].tools:
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{tool.name}` |")]
        assert tool.output_schema is not None
        assert {name for name in tool.output_schema["properties"] if f"`{name}`" not in row} == set()
        own = set(tool.input_schema["properties"]) - {"range", "last", "since", "until", "time_zone"}
        assert {name for name in own if f"`{name}`" not in row} == set()
