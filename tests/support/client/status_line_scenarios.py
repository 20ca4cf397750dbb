"""The scenario of the real client with a status line: what it shows, and what becomes of its input."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_hooks_otel.store.connection import connect
from tests.support.client.client import World
from tests.support.client.scripted_api import Tool, Turn, Usage
from tests.support.client.truth import our_totals
from tests.support.otlp_receiver import OtlpReceiver


def status_line(folder: Path) -> dict[str, Any]:
    """A person works in a terminal, with a subscription. Our status line wraps one that was there."""
    turns = [
        Turn(
            "hello there",
            [Tool("Bash", {"command": "echo hi", "description": "work"})],
            Usage(1000, 50, cache_write_5m=20000),
        ),
        Turn("that is all", usage=Usage(10, 5, cache_read=41000)),
    ]
    with World(folder, {"talk": turns}) as world:
        resets = int(time.time()) + 7200
        world.api.headers = limit_headers({"5h": (0.4215, resets), "7d": (0.07, resets + 86400)})
        settings, seen = world.user / ".claude" / "settings.json", folder / "seen.jsonl"
        values = json.loads(settings.read_text()) | {"skipDangerousModePermissionPrompt": True}
        settings.write_text(json.dumps(values | {"statusLine": {"type": "command", "command": recording(seen)}}))
        before = settings.read_bytes()
        named = ("--settings", str(settings))
        world.command(
            "install", *named, "--statusline", "--format", "our line: {model} {context}[ 5h {five_hour}] {session_cost}"
        )
        arguments = ("--model", "claude-sonnet-4-5", "--dangerously-skip-permissions")
        subscription = {"ANTHROPIC_API_KEY": None, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-not-a-token"}
        with world.terminal(*arguments, **subscription) as terminal:
            first = "our line: Sonnet 4.5 – $0.00"
            if first not in terminal.wait_for(first, "Settings Warning"):  # an old client does not know every event
                terminal.keys("Enter")
                terminal.wait_for(first)
            terminal.submit("script:talk")
            terminal.wait_for("that is all")
            shown = terminal.wait_for("our line: Sonnet 4.5 21% 5h 42% $0.")
            terminal.submit("/exit")
            code = terminal.exit_code()
        with contextlib.suppress(TimeoutError):
            world.receiver.wait_for(lambda it: len(_limits(it)) == 4 and our_totals(it)["events"].get("SessionEnd"), 30)
        inputs = [json.loads(line) for line in seen.read_text().splitlines() if line.strip()]
        with contextlib.closing(connect(world.home.store, readonly=True)) as store:
            readings = store.execute(
                "SELECT context_basis_points, context_size, cost FROM status_reading ORDER BY at_ns"
            ).fetchall()
        found = {
            "code": code,
            "wrapped": "recorded line" in shown,
            "resets": resets,
            "last_input": inputs[-1],
            "readings": readings,
            "limits": _limits(world.receiver),
            "command": json.loads(world.command("limits", "--json"))["windows"],
            "audit": world.command("audit"),
            "cost": sum(our_totals(world.receiver)["cost"].values()),
        }
        world.command("install", *named, "--no-statusline")
        return found | {"restored": settings.read_bytes() == before}


def _limits(receiver: OtlpReceiver) -> dict[str, float]:
    """Return the newest values of the limits' metrics, by name and window, for our agent."""
    return {
        f"{point.name} {point.attributes['window']}": point.value
        for point in receiver.metrics
        if point.name.startswith("claude.rate_limit.") and point.attributes["agent"] == "backend"
    }


def recording(path: Path) -> str:
    """Return a ``statusLine`` command that appends its input to a file, a line for each run, and shows a text."""
    return f"sh -c 'cat >>{path}; echo >>{path}; echo recorded line'"


def limit_headers(limits: Mapping[str, tuple[float, int]]) -> dict[str, str]:
    """Return the headers in which the Messages API reports its limits to a subscriber's client.

    Args:
        limits: ``5h`` and ``7d`` → the share that is used, from 0 to 1, and when the limit begins again, seconds since the epoch.
    """
    found = {"anthropic-ratelimit-unified-status": "allowed"}
    for name, (used, resets) in limits.items():
        head = f"anthropic-ratelimit-unified-{name}"
        found |= {f"{head}-status": "allowed", f"{head}-utilization": str(used), f"{head}-reset": str(resets)}
    return found
