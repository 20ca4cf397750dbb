"""Sessions that no terminal shows: of the Claude Agent SDK, next to what the SDK itself reports, and of a client that runs no hooks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.client.client import World
from tests.support.client.scripted_api import Tool, Turn, Usage
from tests.support.client.truth import our_totals
from tests.support.places import ROOT

# .ci/run installs the SDKs here. That for Python brings a client of its own.
CACHE = ROOT / ".cache"
PYTHON = CACHE / "agent-sdk" / "bin" / "python"
TYPESCRIPT = CACHE / "agent-sdk-typescript" / "node_modules" / "@anthropic-ai" / "claude-agent-sdk" / "sdk.mjs"
PROGRAMS = Path(__file__).with_name("agent_sdk")


def _bash(command: str) -> Tool:
    return Tool("Bash", {"command": command, "description": "work"})


def _scripts(project: Path) -> dict[str, list[Turn]]:
    calc = str(project / "calc.py")
    return {
        "query": [
            Turn("look", [Tool("Read", {"file_path": calc})], Usage(100, 20, cache_write_5m=1000)),
            Turn(
                "mend",
                [Tool("Edit", {"file_path": calc, "old_string": "a - b", "new_string": "a + b"}), _bash("exit 3")],
                Usage(10, 30, cache_read=1000, cache_write_1h=50),
            ),
            Turn(
                "ask",
                [Tool("Agent", {"description": "review", "prompt": "script:review", "subagent_type": "reviewer"})],
                Usage(10, 40, 1050),
            ),
            Turn("done", usage=Usage(12, 50, 1100)),
        ],
        "review": [
            Turn("read", [Tool("Read", {"file_path": calc})], Usage(200, 60)),
            Turn("fine", usage=Usage(210, 70)),
        ],
        "first": [
            Turn("sum", [Tool("mcp__sums__add", {"a": 2, "b": 3})], Usage(300, 10, cache_write_5m=400)),
            Turn("five", usage=Usage(20, 11, 400)),
        ],
        "second": [
            Turn("try", [_bash("touch forbidden")], Usage(21, 12, 400)),
            Turn("refused", usage=Usage(22, 13, 400)),
        ],
        "long": [Turn("wait", [_bash("echo >running; sleep 120")], Usage(25, 16, cache_write_5m=30))],
        "third": [
            Turn("look", [Tool("Read", {"file_path": calc})], Usage(23, 14, 400)),
            Turn("end", usage=Usage(24, 15, 400)),
        ],
    }


def agent_sdk(folder: Path, program: str, hooks: str) -> dict[str, Any]:
    """Run a program, and return what the SDK reports, what the API charged, and our report of its sessions.

    Args:
        folder: the folder of the world.
        program: ``typescript``, or one of ``agent_sdk/program.py``.
        hooks: ``settings`` if the SDK reads the user's, ``plugin`` if it reads no settings and loads our plugin, or ``none``.
    """
    options: dict[str, Any] = {}
    with World(folder, _scripts(folder / "shop"), telemetry=False) as world:
        os.mkfifo(world.project / "running")
        if hooks != "settings":
            options["settingSources" if program == "typescript" else "setting_sources"] = []
        if hooks == "plugin":
            options["plugins"] = [{"type": "local", "path": str(ROOT)}]
        if program == "typescript":
            options["pathToClaudeCodeExecutable"] = str(world.binary)
            command = [str(shutil.which("node")), str(PROGRAMS / "program.mjs"), str(TYPESCRIPT), json.dumps(options)]
        else:
            command = [str(PYTHON), str(PROGRAMS / "program.py"), program, json.dumps(options)]
        environ = world.environ() | {"CLAUDE_AGENT_ID": "backend"}
        done = subprocess.run(
            command, cwd=world.project, env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:] + done.stdout[-2000:])
        if hooks == "none":
            world.command("import")
        world.command("flush")
        return {
            "results": json.loads(done.stdout.splitlines()[-1]),
            "charged": [{"model": charge.model, **vars(charge.usage)} for charge in world.api.charges],
            "sessions": json.loads(world.command("report", "all", "--by", "session", "--json")),
            "whole": json.loads(world.command("report", "all", "--json")),
            "audit": json.loads(world.command("audit", "--json")),
            "outcomes": our_totals(world.receiver)["outcomes"],
            "entrypoints": sorted(
                {
                    point.attributes["entrypoint"]
                    for point in world.receiver.metrics
                    if point.name == "claude.client.info"
                }
            ),
        }


def without_hooks(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a session in which the client runs no hooks, and return the report before and after an import."""
    turns = [Turn("look", [_bash("true")], Usage(100, 20)), Turn("done", usage=Usage(110, 30))]
    with World(folder, {"bare": turns}, export=False, telemetry=False) as world:
        ended = world.run("script:bare", *arguments)
        before = json.loads(world.command("report", "all", "--json"))
        world.command("import")
        after = json.loads(world.command("report", "all", "--json"))
        return {"told": ended.result["total_cost_usd"], "before": before["rows"], "after": after["rows"]}
