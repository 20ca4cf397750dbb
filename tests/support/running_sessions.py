"""Sessions that run at the end of the sample week: one waits for permission, one runs tools, one has sub-agents, one is idle.

The events of their hooks go through the spool. Their requests and tool calls are facts, as a reader of transcripts makes them.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from typing import Any, Final

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import MINUTE, SECOND
from tests.support import sample_week

NOW_NS: Final = round(sample_week.NOW.timestamp()) * SECOND
# The session that the sample status line describes.
BACKEND: Final = "3f9c2a71-5b0e-4c1d-9a44-6e1f0b7d2c58"
_FRONTEND: Final = "b81d4e06-27f3-4a9b-8c15-90d2f4a6e713"
_REVIEWER: Final = "0c65f7d9-e48a-4f02-b3c7-1a2d9e5b8f40"
_PLATFORM: Final = "d2470b9e-91c6-4e5f-a08b-73c4e6d1f925"


class _Running:
    """A session that has not ended. Times are counted back from NOW_NS."""

    def __init__(self, core: Core, home: Home, session_id: str, work: tuple[str, str, str], began: int) -> None:
        self._core, self._home, self.session_id = core, home, session_id
        agent, project, self._model = work
        self._who = {"agent": agent, "project": project, "team": sample_week.TEAMS[agent]}
        self._week = sample_week.Week(random.Random(session_id), keeps_words=False)
        self._number = 0
        self.hook("SessionStart", began, source="startup", model=self._model)

    def hook(self, event: str, ago: int, **payload: Any) -> None:
        """Capture an event of the session."""
        self._number += 1
        name = f"{event}.{self.session_id}.{self._number}"
        fields = {"session_id": self.session_id, "transcript_path": "", "cwd": "/", "hook_event_name": event, **payload}
        path = self._home.spool / "new" / name
        path.write_bytes(Envelope(name, 0, event, self._who, json.dumps(fields).encode()).encode())
        os.utime(path, ns=(NOW_NS - ago, NOW_NS - ago))

    def requests(self, count: int, since: int, until: int, context: int) -> None:
        """Add requests at equal distances. The context grows up to the given tokens."""
        for number in range(count):
            ago = since - (since - until) * number // count
            tokens = context * (number + 4) // (count + 3)
            key = f"{self.session_id}-{number}"
            request = self._week.request(
                key, self.session_id, f"{self.session_id}-0", NOW_NS - ago, self._model, tokens, self._who
            )
            self._core.facts.upsert(request)
        self._core.facts.upsert(
            model.Session(session_id=self.session_id, context_tokens=context, model=self._model, **self._who)
        )

    def call(self, tool: str, ago: int, agent_id: str | None = None) -> None:
        """Begin a tool call that has not ended."""
        self._number += 1
        self._core.facts.upsert(
            model.ToolCall(
                tool_use_id=f"toolu_{self.session_id[:8]}{self._number}", session_id=self.session_id, agent_id=agent_id,
                prompt_id=f"{self.session_id}-0", agent_type="Explore" if agent_id else "main", tool=tool,
                started_ns=NOW_NS - ago, **self._who,
            )
        )  # fmt: skip


def make(home: Home) -> None:
    """Add the sessions to a home that has the sample week."""
    core = assemble_core(home, Config(), lambda: NOW_NS)
    try:
        with core.store.transaction():
            _begin(core, home)
        while core.intake.take_events():
            pass
    finally:
        core.store.close()


def _begin(core: Core, home: Home) -> None:
    backend = _Running(core, home, BACKEND, ("backend", "book-cataloger", "claude-opus-4-5"), 74 * MINUTE)
    backend.hook("UserPromptSubmit", 9 * MINUTE, prompt="Add rate limiting", prompt_id="p1")
    backend.requests(34, 72 * MINUTE, 24 * SECOND, 118_000)
    backend.hook("PermissionRequest", 23 * SECOND, tool_name="Bash", tool_input={"command": "make migrate"})
    backend.hook("Notification", 17 * SECOND, notification_type="permission_prompt", message="waiting")
    frontend = _Running(core, home, _FRONTEND, ("frontend", "storefront", "claude-sonnet-4-5"), 41 * MINUTE)
    frontend.hook("UserPromptSubmit", 6 * MINUTE, prompt="Fix the checkout", prompt_id="p1")
    frontend.requests(22, 40 * MINUTE, 96 * SECOND, 61_000)
    frontend.call("Bash", 94 * SECOND)
    frontend.call("Read", 5 * SECOND)
    reviewer = _Running(core, home, _REVIEWER, ("reviewer", "book-cataloger", "claude-haiku-4-5"), 12 * MINUTE)
    reviewer.hook("UserPromptSubmit", 3 * MINUTE, prompt="Review", prompt_id="p1")
    reviewer.requests(9, 11 * MINUTE, 2 * MINUTE, 38_000)
    for number, tool in enumerate(("Grep", "Read")):
        agent_id = f"a{number}c4e8d27"
        reviewer.call("Agent", 70 * SECOND)
        reviewer.hook("SubagentStart", (69 - number) * SECOND, agent_id=agent_id, agent_type="Explore")
        reviewer.call(tool, (4 + number) * SECOND, agent_id)
    platform = _Running(core, home, _PLATFORM, ("platform", "deploy-tools", "claude-opus-4-5"), 103 * MINUTE)
    platform.hook("UserPromptSubmit", 20 * MINUTE, prompt="Deploy", prompt_id="p1")
    platform.requests(27, 101 * MINUTE, 7 * MINUTE, 164_000)
    platform.hook("Stop", 6 * MINUTE)


def status(folder: str) -> Mapping[str, Any]:
    """Return what the client writes to the status line of the session of ``backend``.

    Args:
        folder: the client's configuration folder.
    """
    now = NOW_NS // SECOND
    return {
        "session_id": BACKEND,
        "transcript_path": f"{folder}/projects/book-cataloger/{BACKEND}.jsonl",
        "cwd": "/work/book-cataloger",
        "model": {"id": "claude-opus-4-5", "display_name": "Opus 4.5"},
        "workspace": {"current_dir": "/work/book-cataloger", "project_dir": "/work/book-cataloger"},
        "cost": {"total_cost_usd": 2.52, "total_lines_added": 312, "total_lines_removed": 87},
        "context_window": {"used_percentage": 59, "context_window_size": 200_000},
        "rate_limits": {
            "five_hour": {"used_percentage": 11, "resets_at": now + 270 * 60},
            "seven_day": {"used_percentage": 63, "resets_at": now + 2 * 86_400 + 23 * 3_600},
        },
    }
