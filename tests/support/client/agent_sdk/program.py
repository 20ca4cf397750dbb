"""Programs on the Claude Agent SDK for Python. They run with an interpreter that has the SDK, and print its result messages as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    AgentDefinition,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    Message,
    PermissionResultAllow,
    PermissionResultDeny,
    ResultMessage,
    create_sdk_mcp_server,
    query,
    tool,
)

MODEL = "claude-sonnet-4-5"
results: list[dict[str, Any]] = []


async def keep(messages: AsyncIterator[Message]) -> None:
    results.extend(
        [
            {
                "session": message.session_id,
                "cost": message.total_cost_usd,
                "usage": message.usage,
                "models": message.model_usage,
            }
            async for message in messages
            if isinstance(message, ResultMessage)
        ]
    )


async def one_query(**options: Any) -> None:
    """One prompt, whose session has a sub-agent that this program defines."""
    reviewer = AgentDefinition(description="Reviews", prompt="You review code.", tools=["Read"], model="opus")
    given = ClaudeAgentOptions(
        model=MODEL, permission_mode="bypassPermissions", agents={"reviewer": reviewer}, **options
    )
    await keep(query(prompt="script:query", options=given))


async def conversation(**options: Any) -> None:
    """Two prompts in one session, with a tool in this process, and a permission that it refuses. Then the session is resumed."""

    @tool("add", "Adds two numbers", {"a": int, "b": int})
    async def add(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": str(arguments["a"] + arguments["b"])}]}

    async def may_use(name: str, told: dict[str, Any], _: Any) -> PermissionResultAllow | PermissionResultDeny:
        return PermissionResultDeny(message="not here") if "forbidden" in str(told) else PermissionResultAllow()

    given = ClaudeAgentOptions(
        model=MODEL,
        mcp_servers={"sums": create_sdk_mcp_server("sums", tools=[add])},
        can_use_tool=may_use,
        **options,
    )
    async with ClaudeSDKClient(given) as client:
        for prompt in ("script:first", "script:second"):
            await client.query(prompt)
            await keep(client.receive_response())
    given.resume = results[-1]["session"]
    async with ClaudeSDKClient(given) as client:
        await client.query("script:third")
        await keep(client.receive_response())


async def interrupted(**options: Any) -> None:
    """A prompt that is interrupted while its command runs, and another prompt in the same session."""
    given = ClaudeAgentOptions(model=MODEL, permission_mode="bypassPermissions", **options)
    async with ClaudeSDKClient(given) as client:
        await client.query("script:long")
        await asyncio.to_thread(Path("running").read_text)  # a named pipe, to which the command writes
        await client.interrupt()
        await keep(client.receive_response())
        await client.query("script:second")
        await keep(client.receive_response())


PROGRAMS = {"one_query": one_query, "conversation": conversation, "interrupted": interrupted}

if __name__ == "__main__":
    asyncio.run(PROGRAMS[sys.argv[1]](**json.loads(sys.argv[2])))
    print(json.dumps(results))
