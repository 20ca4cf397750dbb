"""Scenarios of the real client with budgets, with the plugin's commands, and with the MCP server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.support.client.client import Ended, World, wait_until
from tests.support.client.scripted_api import Tool, Turn, Usage

# A turn that costs more than the budget.
_COSTLY = [Turn("spent", usage=Usage(1000, 2000))]
_SHORT = [Turn("a short answer")]


def _set_budgets(world: World, text: str) -> None:
    content = world.home.config.read_text()
    world.home.config.write_text(f"{content}\n[budgets]\n{text}\n")


def budget_message(folder: Path) -> dict[str, Any]:
    """A session uses a budget up. A person sees it at the next prompt, and not at the one after it."""
    with World(folder, {"costly": _COSTLY, "short": _SHORT}, export=False, telemetry=False) as world:
        _set_budgets(world, "month = 0.01")
        world.run("script:costly")
        wait_until(lambda: list(world.home.prompt.glob("*.notice")))
        silent = world.run("script:short")  # nobody sees its messages
        with world.terminal("--model", "claude-sonnet-4-5") as shell:
            shell.wait_for("❯")
            shell.submit("script:short first")
            shell.wait_for("Budget for this month")
            shown = shell.wait_for("a short answer")
            shell.submit("script:short second")
            wait_until(lambda: len(world.api.charges) >= 4)
            later = shell.screen()
        return {"silent": _messages_of(silent), "shown": shown, "later": later, "messages": _messages(world)}


def _messages(world: World) -> list[str]:
    return [
        line["attachment"]["content"]
        for path in (world.user / ".claude").rglob("*.jsonl")
        for line in map(json.loads, path.read_text().splitlines())
        if line.get("attachment", {}).get("type") == "hook_system_message"
    ]


def _messages_of(ended: Ended) -> dict[str, Any]:
    return {"code": ended.code, "errors": ended.errors, "result": ended.result.get("result")}


def budget_block(folder: Path) -> dict[str, Any]:
    """A session uses a budget up whose owner wants prompts to be refused. A command of the owner lifts the block."""
    with World(folder, {"costly": _COSTLY, "short": _SHORT}, export=False, telemetry=False) as world:
        _set_budgets(world, "month = 0.01\nblock = true\nnotify = []\n[budgets.agent.other]\nmonth = 1")
        first = world.run("script:costly")
        block = world.home.prompt / "block"
        wait_until(block.exists)
        charged = len(world.api.charges)
        blocked = world.run("script:short")
        while_blocked = len(world.api.charges) - charged
        lifted = world.command("budgets", "--lift")
        after = world.run("script:short")
        return {
            "runs": [_messages_of(one) for one in (first, blocked, after)],
            "output": json.dumps(blocked.result),
            "while_blocked": while_blocked,
            "lifted": lifted,
            "exists": block.exists(),
        }


def _bash(command: str, *, in_background: bool) -> Tool:
    more = {"run_in_background": True} if in_background else {}
    return Tool("Bash", {"command": command, "description": "look", **more})


def plugin_commands(folder: Path) -> dict[str, Any]:
    """A user asks for the cost and the report in a session, and opens the page. The command is where ``/hooks-otel:setup`` puts it."""
    program = "~/.local/share/claude-hooks-otel/bin/claude-hooks-otel"
    commands = {"cost": ["report today --by model", "budgets"], "report": ["report today"], "live": ["serve --open"]}
    scripts = {
        name: [
            *(Turn("look", [_bash(f"{program} {line}", in_background=name == "live")]) for line in lines),
            Turn(f"that is the {name}"),
        ]
        for name, lines in commands.items()
    }
    with World(folder, scripts, hooks="plugin", export=False, telemetry=False) as world:
        _set_budgets(world, "month = 100")
        path = Path(program.replace("~", str(world.user)))
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).with_name("claude-hooks-otel")}" "$@"\n')
        path.chmod(0o755)
        found = {}
        for name, turns in scripts.items():
            world.api.prompts.clear()
            world.api.tool_results.clear()
            charged = len(world.api.charges)
            process = world.start(f"/hooks-otel:{name} script:{name}")
            if name == "live":  # the client waits for what runs in the background
                _end_page(world, process.pid, charged + len(turns))
            ended = world.end(process)
            found[name] = {
                **_messages_of(ended),
                "prompt": "\n".join(world.api.prompts),
                "outputs": list(world.api.tool_results),
            }
        return found


def _end_page(world: World, client: int, requests: int) -> None:
    """End the page that a session serves, once the API has answered so many requests."""

    def pages() -> list[psutil.Process]:
        return [each for each in psutil.Process(client).children(recursive=True) if "serve" in each.cmdline()]

    wait_until(lambda: len(world.api.charges) >= requests and pages())
    for page in pages():
        page.terminate()


def mcp_tools(folder: Path) -> dict[str, Any]:
    """An agent asks for its own bill over MCP."""
    call = [
        Tool("mcp__telemetry__usage", {"range": "all", "by": ["model"]}),
        Tool("mcp__telemetry__usage", {"last": "7"}),
    ]
    scripts = {"costly": _COSTLY, "ask": [Turn("ask", call), Turn("that is the bill")]}
    with World(folder, scripts, export=False, telemetry=False) as world:
        world.run("script:costly")
        wait_until(lambda: "cost_usd" in json.loads(world.command("report", "all", "--json"))["total"])
        reported = json.loads(world.command("report", "all", "--json"))
        command = str(Path(sys.executable).with_name("claude-hooks-otel"))
        server = {"command": command, "args": ["mcp"], "env": {"HOME": str(world.user)}}
        config = folder / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"telemetry": server}}))
        ended = world.run("script:ask", "--mcp-config", str(config), "--strict-mcp-config")
        return {**_messages_of(ended), "outputs": world.api.tool_results, "reported": reported["total"]}
