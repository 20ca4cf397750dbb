"""Made-up sessions of Claude Code in the client's own formats: hook events, and lines of transcripts.

The tests play recorded sessions, which are scripted and last seconds. A picture needs sessions as people have them: some prompts, each
with minutes of work, a context that grows, commands that take a while, tests that fail at first.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CWD = "/home/dev/work"
_FILES = (
    "api/orders.py",
    "api/cart.py",
    "core/pricing.py",
    "web/checkout.tsx",
    "web/cart.tsx",
    "jobs/nightly.sql",
    "README.md",
)
# The context at which a session begins, the one at which the client compacts it, and what is left then, in tokens.
_BEGIN, _FULL, _COMPACTED = 18_000, 160_000, 32_000


@dataclass(frozen=True, slots=True)
class Worker:
    """One agent and how it works.

    Attributes:
        name: The label ``agent``.
        project: The label ``project``.
        model: The model of its requests.
        turns: The least and the greatest number of prompts in a session.
        steps: The least and the greatest number of requests for a prompt.
        tools: How often it uses each tool, as weights.
        passes: The share of its test runs that pass at the first try.
        runner: The command that runs its tests.
        waits: The least and the greatest number of seconds between an answer and the next prompt.
        asks: The share of its edits and commands for which a person has to give permission.
        entrypoint: The client's own word for how it was started.
    """

    name: str
    project: str
    model: str
    turns: tuple[int, int]
    steps: tuple[int, int]
    tools: Mapping[str, float]
    passes: float = 0.8
    runner: str = "pytest --cov"
    waits: tuple[float, float] = (40, 420)
    asks: float = 0.06
    entrypoint: str = "cli"


@dataclass(frozen=True, slots=True)
class Moment:
    """A hook event, or a line of a transcript.

    Attributes:
        at: When it happens, in Unix seconds.
        event: The hook's event. Empty for a line.
        content: The payload of the hook, or the record of the line.
        transcript: The file that gets the line.
    """

    at: float
    event: str
    content: dict[str, Any]
    transcript: Path


@dataclass
class Reviews:
    """The pull requests of one agent that wait for a review: the time from which they may be merged, and their addresses."""

    open: list[tuple[float, str]] = field(default_factory=list)


class Session:
    """One session that begins at a time.

    Args:
        worker: Who works.
        folder: The client's folder ``projects``.
        at: When it begins, in Unix seconds.
        chance: Decides everything that is left open.
        reviews: The pull requests of this agent.
    """

    def __init__(self, worker: Worker, folder: Path, at: float, chance: random.Random, reviews: Reviews) -> None:
        self._worker, self._chance, self._reviews = worker, chance, reviews
        self._at = at
        self._session = self._new()
        self._transcript = folder / worker.project / f"{self._session}.jsonl"
        self._context = _BEGIN
        self._subagent = ""
        self._prompt = ""
        self._plan: list[tuple[str, int]] = []
        self._moments: list[Moment] = []
        self._tools: dict[str, Callable[[], None]] = {
            "Read": self._read, "Grep": self._grep, "Edit": self._edit, "Write": self._write, "Bash": self._bash,
            "Agent": self._agent, "Test": self._test, "mcp__linear__get_issue": self._issue, "Skill": self._skill,
        }  # fmt: skip

    def play(self) -> list[Moment]:
        """Return everything that happens in the session, in order of time."""
        self._hook("SessionStart", source="startup")
        turns = self._chance.randint(*self._worker.turns)
        for turn in range(turns):
            if turn or self._worker.entrypoint == "cli":
                self._at += self._chance.uniform(*self._worker.waits)
            self._turn(first=turn == 0, last=turn == turns - 1)
        self._at += self._chance.uniform(5, 200)
        self._hook("SessionEnd", reason="prompt_input_exit")
        return sorted(self._moments, key=lambda moment: moment.at)

    # -- the client's formats ------------------------------------------------------------------------------------------

    def _new(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _hook(self, event: str, **fields: Any) -> None:
        common = {"session_id": self._session, "transcript_path": str(self._transcript), "cwd": CWD}
        if self._prompt:
            common |= {"prompt_id": self._prompt, "permission_mode": "default"}
        if self._subagent and event not in {"SubagentStart", "SubagentStop"}:
            common |= {"agent_id": self._subagent, "agent_type": "general-purpose"}
        self._moments.append(Moment(self._at, event, common | {"hook_event_name": event} | fields, self._transcript))

    def _line(self, kind: str, **fields: Any) -> None:
        moment = datetime.fromtimestamp(self._at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path = self._transcript
        common = {"parentUuid": None, "isSidechain": bool(self._subagent), "type": kind, "uuid": self._new()}
        if self._subagent:
            path = path.with_suffix("") / "subagents" / f"agent-{self._subagent}.jsonl"
            common["agentId"] = self._subagent
        common |= {"timestamp": moment, "userType": "external", "entrypoint": self._worker.entrypoint, "cwd": CWD}
        common |= {"sessionId": self._session, "version": "2.1.330", "gitBranch": "main"}
        self._moments.append(Moment(self._at, "", common | fields, path))

    def _request(self, content: list[dict[str, Any]], stop: str) -> None:
        """Wait for an answer of the model, and write it."""
        new, out = self._chance.randint(400, 3600), self._chance.randint(120, 900)
        self._at += 2 + out / self._chance.uniform(45, 75)
        if self._context + new > _FULL:
            self._hook("PreCompact", trigger="auto", custom_instructions=None)
            self._at += 25
            self._hook("PostCompact", trigger="auto")
            self._context = _COMPACTED
        usage = {
            "input_tokens": self._chance.randint(3, 12),
            "cache_creation_input_tokens": new,
            "cache_read_input_tokens": self._context,
            "output_tokens": out,
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": new},
        }
        self._context += new + out
        message: dict[str, Any] = {
            "id": f"msg_{self._chance.getrandbits(88):022x}",
            "type": "message",
            "role": "assistant",
        }
        message |= {"model": self._worker.model, "content": content, "stop_reason": stop, "usage": usage}
        more = {"attributionAgent": "general-purpose"} if self._subagent else {}
        self._line("assistant", message=message, requestId=f"req_{self._chance.getrandbits(80):020x}", **more)

    def _call(
        self, name: str, given: dict[str, Any], answer: Any, seconds: float, inside: Callable[[], None] | None = None
    ) -> None:
        """Ask the model, and run the tool that it wants. With an exception as answer, the tool fails."""
        call = f"toolu_{self._chance.getrandbits(88):022x}"
        self._request([{"type": "tool_use", "id": call, "name": name, "input": given}], "tool_use")
        fields = {"tool_name": name, "tool_input": given, "tool_use_id": call}
        self._hook("PreToolUse", **fields)
        if name in {"Bash", "Edit", "Write"} and self._chance.random() < self._worker.asks:
            self._at += 0.1
            self._hook("PermissionRequest", tool_name=name, tool_input=given, permission_suggestions=[])
            self._at += self._chance.uniform(3, 90)
        if inside is not None:
            inside()
        self._at += seconds
        ran = {"duration_ms": round(1000 * seconds)}
        if isinstance(answer, Exception):
            self._hook("PostToolUseFailure", **fields, error=str(answer), is_interrupt=False, **ran)
        else:
            self._hook("PostToolUse", **fields, tool_response=answer() if callable(answer) else answer, **ran)
        result = {"tool_use_id": call, "type": "tool_result", "content": "", "is_error": isinstance(answer, Exception)}
        self._line("user", promptId=self._prompt, message={"role": "user", "content": [result]})

    # -- what a session does -------------------------------------------------------------------------------------------

    def _turn(self, *, first: bool, last: bool) -> None:
        self._prompt = self._new()
        self._hook("UserPromptSubmit", prompt="Please go on.")
        self._line("user", promptId=self._prompt, message={"role": "user", "content": "Please go on."})
        tools, weights = zip(*self._worker.tools.items(), strict=True)
        steps = self._chance.randint(*self._worker.steps)
        if first and "Edit" in self._worker.tools:
            self._make_plan()
        for name in self._chance.choices(tools, weights, k=steps):
            self._tools[name]()
        if "Edit" in self._worker.tools:
            self._edit()
            self._test()
            if self._chance.random() < 0.7:
                self._commit()
            self._finish_a_task()
            if last:
                self._pull_request()
        if self._chance.random() < 0.02:
            self._at += 30
            self._hook("StopFailure", error="overloaded", error_details="Overloaded", last_assistant_message="")
            return
        self._request([{"type": "text", "text": "Done."}], "end_turn")
        self._at += 0.2
        self._hook(
            "Stop", stop_hook_active=False, last_assistant_message="Done.", background_tasks=[], session_crons=[]
        )

    def _make_plan(self) -> None:
        for number in range(1, self._chance.randint(1, 3) + 1):
            kind = self._chance.choice(("feature", "task", "task"))
            points = self._chance.choice((1, 2, 3, 5))
            given: dict[str, Any] = {"subject": "Next step", "description": "As discussed", "activeForm": "Working"}
            given["metadata"] = {"story_points": points, "type": kind}
            task = {"id": str(number), "subject": "Next step", "description": "As discussed"}
            self._call("TaskCreate", given, {"task": task}, 0.06)
            self._hook("TaskCreated", task_id=str(number), task_subject="Next step", task_description="As discussed")
            self._plan.append((str(number), points))

    def _finish_a_task(self) -> None:
        if self._plan and self._chance.random() < 0.8:
            number, _ = self._plan.pop(0)
            done: dict[str, Any] = {"success": True, "taskId": number, "updatedFields": ["status"]}
            done["statusChange"] = {"from": "in_progress", "to": "completed"}
            self._hook("TaskCompleted", task_id=number, task_subject="Next step", task_description="As discussed")
            self._call("TaskUpdate", {"taskId": number, "status": "completed"}, done, 0.05)

    def _file(self) -> str:
        return f"{CWD}/{self._chance.choice(_FILES)}"

    def _read(self) -> None:
        path = self._file()
        answer = {
            "type": "text",
            "file": {"filePath": path, "content": "", "numLines": 1, "startLine": 1, "totalLines": 1},
        }
        self._call("Read", {"file_path": path}, answer, self._chance.uniform(0.01, 0.05))

    def _grep(self) -> None:
        self._call("Grep", {"pattern": "price"}, {"mode": "content", "numFiles": 3}, self._chance.uniform(0.05, 0.4))

    def _edit(self) -> None:
        path, added, deleted = self._file(), self._chance.randint(1, 24), self._chance.randint(0, 9)
        lines = [*(f"-old {number}" for number in range(deleted)), *(f"+new {number}" for number in range(added))]
        patch = {"oldStart": 1, "oldLines": deleted, "newStart": 1, "newLines": added, "lines": lines}
        answer = {
            "filePath": path,
            "oldString": "old",
            "newString": "new",
            "originalFile": None,
            "structuredPatch": [patch],
        }
        if self._chance.random() < 0.04:
            self._call(
                "Edit", {"file_path": path, "old_string": "old", "new_string": "new"}, OSError("String not found"), 0.02
            )
        self._call("Edit", {"file_path": path, "old_string": "old", "new_string": "new"}, answer, 0.04)

    def _write(self) -> None:
        name = self._chance.choice(("docs/guide", ".claude/skills/release/SKILL", "api/new"))
        path, content = f"{CWD}/{name}.md", "text\n" * self._chance.randint(8, 60)
        answer: dict[str, Any] = {
            "type": "create",
            "filePath": path,
            "content": content,
            "structuredPatch": [],
            "originalFile": None,
        }
        self._call("Write", {"file_path": path, "content": content}, answer, 0.05)

    def _run(self, command: str, output: str, seconds: float, **more: Any) -> None:
        answer = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False} | more
        self._call("Bash", {"command": command, "description": "Run it"}, answer, seconds)

    def _bash(self) -> None:
        if self._chance.random() < 0.07:
            self._call("Bash", {"command": "make build"}, OSError("Exit code 2"), self._chance.uniform(2, 40))
        else:
            self._run("make build", "", self._chance.lognormvariate(1.2, 1.1))

    def _issue(self) -> None:
        self._call(
            "mcp__linear__get_issue", {"id": "SHOP-12"}, [{"type": "text", "text": ""}], self._chance.uniform(0.4, 2.5)
        )

    def _skill(self) -> None:
        self._call("Skill", {"skill": "release"}, {"success": True, "commandName": "release"}, 0.03)

    def _test(self) -> None:
        """Run the tests until they pass, at most three times."""
        for attempt in range(3):
            passes = self._chance.random() < (self._worker.passes if attempt == 0 else 0.85)
            failed, passed = (0 if passes else self._chance.randint(1, 4)), 140 + self._chance.randint(0, 40)
            if "jest" in self._worker.runner:
                bad = f"{failed} failed, " if failed else ""
                output = f"Test Suites: {bad}18 passed, 18 total\nTests:       {bad}{passed} passed, {passed + failed} total\n"
            else:
                bad = f"{failed} failed, " if failed else ""
                output = f"TOTAL   2400   360   {self._chance.randint(82, 88)}%\n{bad}{passed} passed in 21.31s"
            self._run(self._worker.runner, output, self._chance.uniform(8, 45))
            if passes or self._chance.random() < 0.12:  # now and then, somebody commits although a test fails
                return
            self._edit()

    def _commit(self) -> None:
        sha = f"{self._chance.getrandbits(28):07x}"
        report = {"commit": {"sha": sha, "kind": "committed", "branch": "main"}}
        self._run("git commit -am 'Next step'", f"[main {sha}] Next step", 0.3, gitOperation=report)

    def _pull_request(self) -> None:
        for since, url in [entry for entry in self._reviews.open if entry[0] < self._at]:
            self._reviews.open.remove((since, url))
            report = {"pr": {"number": int(url.rsplit("/", 1)[1]), "url": url, "action": "merged"}}
            self._run(f"gh pr merge {url} --squash", f"Merged pull request {url}", 2.1, gitOperation=report)
        if self._chance.random() < 0.5:
            url = f"https://github.com/acme/{self._worker.project}/pull/{self._chance.randint(200, 9999)}"
            report = {"pr": {"number": int(url.rsplit("/", 1)[1]), "url": url, "action": "created"}}
            self._run("gh pr create --fill", url, 2.4, gitOperation=report)
            self._reviews.open.append((self._at + self._chance.uniform(2_000, 80_000), url))

    def _agent(self) -> None:
        if self._subagent:
            return
        agent = f"a{self._chance.getrandbits(64):016x}"
        self._call(
            "Agent", {"description": "Look into it", "prompt": "Look into it", "subagent_type": "general-purpose"},
            {"status": "completed", "agentId": agent, "agentType": "general-purpose", "content": []}, 0.2,
            inside=lambda: self._work_as(agent),
        )  # fmt: skip

    def _work_as(self, agent: str) -> None:
        """Do what a sub-agent does, in a context of its own."""
        context, self._context = self._context, 6_000
        self._hook("SubagentStart", agent_id=agent, agent_type="general-purpose")
        self._subagent = agent
        self._line("user", promptId=self._prompt, message={"role": "user", "content": "Look into it"})
        for _ in range(self._chance.randint(3, 9)):
            self._chance.choice((self._read, self._grep, self._bash))()
        self._request([{"type": "text", "text": "Found it."}], "end_turn")
        path = self._transcript.with_suffix("") / "subagents" / f"agent-{agent}.jsonl"
        self._subagent, self._context = "", context
        self._hook(
            "SubagentStop", agent_id=agent, agent_type="general-purpose", agent_transcript_path=str(path),
            stop_hook_active=False, last_assistant_message="Found it.", background_tasks=[], session_crons=[],
        )  # fmt: skip


def encode(moments: list[Moment]) -> Iterator[tuple[Moment, bytes]]:
    """Yield each moment with its content as the client writes it."""
    for moment in moments:
        yield moment, json.dumps(moment.content, separators=(",", ":")).encode()
