"""Makes transcripts of any size, as compact as the client writes them, with the kinds and sizes of lines of real sessions.

Among the sessions are resumed ones, forks, sub-agents in both layouts, streamed answers whose usage grows, errors that the client shows as
answers, fast mode, both lifetimes of cache writes, web searches, and a gateway without request ids.

python -m bench.transcripts FOLDER [FOLDER ...] [--megabytes 100 | --sessions 200] [--until 2026-10-31]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

# Days over which the sessions are spread.
DAYS: Final = 60
# All sessions are over by then.
UNTIL: Final = datetime(2026, 10, 31, tzinfo=UTC)
# A session is resumed after at most so long, and no part of it is longer.
LONGEST_BREAK, LONGEST_PART = timedelta(days=3), timedelta(hours=12)
# (model, has fast mode). The client asks for the first one by default.
MODELS: Final = (
    ("claude-opus-4-8", True), ("claude-opus-4-5", False), ("claude-sonnet-4-5", False), ("claude-sonnet-4-6", False), ("claude-haiku-4-5", False),
    ("claude-opus-5-5", True),
)  # fmt: skip
TURNS: Final = (3, 10, 40, 120)
WORDS: Final = (
    "the", "parser", "reads", "each", "token", "and", "returns", "a", "tree", "of", "nodes", "that", "the", "printer", "walks", "in", "order",
    "of", "their", "place",
)  # fmt: skip

# How many of the sessions, of the turns or of the answers are like this.
RESUMED, FORKED, GATEWAY, US_ONLY, OLD_LAYOUT, LONG_LIVED_CACHE = 0.15, 0.1, 0.05, 0.1, 0.2, 0.4
WITH_SUBAGENT, FAST, FAILED = 0.1, 0.1, 0.02
STREAMED, WITHOUT_LIFETIME, SEARCHING = 0.2, 0.05, 0.01


def compact(value: dict[str, Any]) -> bytes:
    """Return a line as the client writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _timestamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class Session:
    """One session: what all its lines have in common, and its files.

    Attributes:
        rng: where all its numbers come from.
        session_id: its id.
        project: its folder.
        model: the model that it asks for.
        has_fast: whether that model has a fast mode.
        moment: when its newest line was written.
        is_gateway: whether a gateway answers, which gives no request ids.
        geo: where the API answers.
        lifetime: how long its cache lives: ``5m`` or ``1h``.
        is_old: whether the transcripts of its sub-agents are in the old layout.
        main: the lines of its transcript.
        agents: an agent's id → the lines of its transcript.
    """

    rng: random.Random
    session_id: str
    project: str
    model: str
    has_fast: bool
    moment: datetime
    is_gateway: bool
    geo: str
    lifetime: str
    is_old: bool
    main: list[bytes] = field(default_factory=list)
    agents: dict[str, list[bytes]] = field(default_factory=dict)
    _parents: dict[str, str | None] = field(default_factory=dict)

    def converse(self, turns: int) -> None:
        """Add so many turns."""
        self._add(None, {"type": "mode", "mode": "default", "sessionId": self.session_id})
        for _ in range(turns):
            prompt = self._hex(128)
            asked = {"role": "user", "content": self._text(20)}
            self._line(None, "user", message=asked, promptId=prompt, promptSource="typed", turnOrigin="human")
            speed = "fast" if self.has_fast and self.rng.random() < FAST else "standard"
            for _ in range(self.rng.randrange(2, 9)):
                self._round(None, prompt, speed)
            if self.rng.random() < WITH_SUBAGENT:
                self._delegate(prompt)
            if self.rng.random() < FAILED:
                self._fail()
            if self.rng.random() < 0.3:
                todo = {"type": "todo_reminder", "content": [], "itemCount": 0}
                self._line(None, "attachment", attachment=todo)
            snapshot = {"messageId": prompt, "snapshot": {"trackedFileBackups": {}}, "isSnapshotUpdate": False}
            self._add(None, {"type": "file-history-snapshot", **snapshot})

    def fork(self) -> Session:
        """Return a session that continues this one: its file begins with this one's lines, under its own id."""
        other = Session(
            self.rng, _uuid(self.rng), self.project, self.model, self.has_fast, self.moment + timedelta(seconds=5), self.is_gateway,
            self.geo, self.lifetime, self.is_old,
        )  # fmt: skip
        for line in self.main:
            value = json.loads(line)
            if "sessionId" in value:
                value["sessionId"] = other.session_id
            if value["type"] == "assistant":
                value.setdefault("requestSessionId", self.session_id)
            other.main.append(compact(value))
        other._parents = {"": self._parents.get("")}
        return other

    def write(self, projects: Path) -> int:
        """Write the files below the client's ``projects/``, with the times of their last lines. Return their size in bytes."""
        folder = projects / self.project.replace("/", "-")
        agents = folder if self.is_old else folder / self.session_id / "subagents"
        files = {folder / f"{self.session_id}.jsonl": self.main}
        files |= {agents / f"agent-{agent_id}.jsonl": lines for agent_id, lines in self.agents.items()}
        size = 0
        for path, lines in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            size += path.write_bytes(b"".join(lines))
            os.utime(path, (self.moment.timestamp(), self.moment.timestamp()))
        return size

    # -- parts -----------------------------------------------------------------------------------------------------------

    def _round(self, agent_id: str | None, prompt: str, speed: str) -> None:
        """Add an answer that calls a tool, and the tool's result."""
        call = f"toolu_{self._hex(96)}"
        arguments = {"file_path": f"{self.project}/a.py", "command": f"ls {self._text(3)}"}
        use = {"type": "tool_use", "id": call, "name": self.rng.choice(("Read", "Bash", "Grep")), "input": arguments}
        blocks = ({"type": "thinking", "thinking": self._text(40)}, {"type": "text", "text": self._text(25)}, use)
        self._answer(agent_id, blocks, speed)
        output = self._text(self.rng.choice((5, 20, 60, 200)))
        result = {"role": "user", "content": [{"tool_use_id": call, "type": "tool_result", "content": output}]}
        shown = {"stdout": output, "stderr": "", "interrupted": False}
        self._line(agent_id, "user", message=result, promptId=prompt, toolUseResult=shown)

    def _answer(self, agent_id: str | None, blocks: Sequence[dict[str, Any]], speed: str) -> None:
        """Add one answer, a line for each block. Each repeats the usage, which is complete in the last line at the latest."""
        usage = self._usage(speed)
        message = {
            "id": f"{'chatcmpl' if self.is_gateway else 'msg'}_{self._hex(96)}", "type": "message", "role": "assistant", "model": self.model,
        }  # fmt: skip
        named = {"requestedModel": self.model} | ({} if self.is_gateway else {"requestId": f"req_{self._hex(96)}"})
        is_streamed = self.rng.random() < STREAMED
        for number, block in enumerate(blocks, start=1):
            shown = usage | {"output_tokens": min(number, usage["output_tokens"])} if is_streamed else usage
            if is_streamed and number == len(blocks):
                shown = usage
            self._line(
                agent_id, "assistant", message=message | {"usage": shown, "stop_reason": "tool_use", "content": [block]}, **named
            )  # fmt: skip

    def _usage(self, speed: str) -> dict[str, Any]:
        rng = self.rng
        written = {"5m": 0, "1h": 0} | {self.lifetime: rng.randrange(5000)}
        usage: dict[str, Any] = {
            "input_tokens": rng.randrange(10), "cache_creation_input_tokens": sum(written.values()), "cache_read_input_tokens": rng.randrange(90_000),
            "output_tokens": rng.randrange(1500), "service_tier": "standard", "inference_geo": self.geo, "speed": speed,
            "cache_creation": {f"ephemeral_{name}_input_tokens": number for name, number in written.items()},
        }  # fmt: skip
        if rng.random() < WITHOUT_LIFETIME:
            del usage["cache_creation"]
        if rng.random() < SEARCHING:
            usage["server_tool_use"] = {"web_search_requests": rng.randrange(1, 4), "web_fetch_requests": 0}
        return usage

    def _delegate(self, prompt: str) -> None:
        """Add a sub-agent, with a transcript of its own."""
        agent_id = self._hex(64)
        task = {"role": "user", "content": self._text(30)}
        self._line(agent_id, "user", message=task, promptId=prompt)
        for _ in range(self.rng.randrange(1, 6)):
            self._round(agent_id, prompt, "standard")

    def _fail(self) -> None:
        """Add an error that the client shows as an answer."""
        usage = {
            "input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "service_tier": None,
            "inference_geo": None, "speed": None,
        }  # fmt: skip
        error = {"type": "text", "text": "API Error: 500 Internal server error."}
        message = {
            "id": _uuid(self.rng),
            "type": "message",
            "role": "assistant",
            "model": "<synthetic>",
            "usage": usage,
        }
        self._line(
            None, "assistant", message=message | {"content": [error]}, requestId=f"req_{self._hex(96)}", error="server_error",
            isApiErrorMessage=True,
        )  # fmt: skip

    # -- lines -----------------------------------------------------------------------------------------------------------

    def _line(self, agent_id: str | None, kind: str, **fields: Any) -> None:
        self.moment += timedelta(milliseconds=self.rng.randrange(50, 5000))
        uuid, place = self._hex(128), agent_id or ""
        value = {
            "parentUuid": self._parents.get(place), "isSidechain": bool(agent_id), "userType": "external", "cwd": self.project, "sessionId": self.session_id,
            "version": "2.1.330", "gitBranch": "main", "entrypoint": "cli", "type": kind, "uuid": uuid, "timestamp": _timestamp(self.moment),
        }  # fmt: skip
        self._parents[place] = uuid
        self._add(agent_id, value | ({"agentId": agent_id} if agent_id else {}) | fields)

    def _add(self, agent_id: str | None, value: dict[str, Any]) -> None:
        (self.agents.setdefault(agent_id, []) if agent_id else self.main).append(compact(value))

    def _hex(self, bits: int) -> str:
        return f"{self.rng.getrandbits(bits):0{bits // 4}x}"

    def _text(self, words: int) -> str:
        return " ".join(self.rng.choices(WORDS, k=words))


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def sessions(rng: random.Random, until: datetime = UNTIL, turns: Sequence[int] = TURNS) -> Iterator[Session]:
    """Yield sessions without end. All are over by a time. Each has one of these numbers of turns."""
    earliest, latest = until - timedelta(days=DAYS), until - LONGEST_BREAK - 3 * LONGEST_PART
    for number in itertools.count():
        model, has_fast = rng.choice(MODELS)
        began = earliest + timedelta(seconds=rng.randrange(int((latest - earliest).total_seconds())))
        session = Session(
            rng, _uuid(rng), f"/home/dev/project-{number % 20}", model, has_fast, began, rng.random() < GATEWAY,
            "us" if rng.random() < US_ONLY else "", "1h" if rng.random() < LONG_LIVED_CACHE else "5m", rng.random() < OLD_LAYOUT,
        )  # fmt: skip
        session.converse(rng.choice(turns))
        if rng.random() < RESUMED:
            session.moment += timedelta(seconds=rng.randrange(int(LONGEST_BREAK.total_seconds())))
            session.converse(rng.choice(turns[:2]))
        yield session
        if rng.random() < FORKED:
            fork = session.fork()
            fork.converse(rng.choice(turns[:2]))
            yield fork


def make(
    folders: Path | Sequence[Path],
    size: int | None = None,
    seed: int = 1,
    *,
    count: int | None = None,
    until: datetime = UNTIL,
    turns: Sequence[int] = TURNS,
) -> int:
    """Fill configuration folders with transcripts. Return how many sessions they have.

    Args:
        folders: the folders, which get the sessions in turn.
        size: how many bytes to write at least; None for any.
        seed: the same transcripts for the same seed.
        count: how many sessions to write; None for any.
        until: when all sessions are over.
        turns: how many turns a session may have.
    """
    places = [folders] if isinstance(folders, Path) else list(folders)
    written = number = 0
    for number, session in enumerate(sessions(random.Random(seed), until, turns), start=1):
        written += session.write(places[number % len(places)] / "projects")
        if number == count or (size is not None and written >= size):
            break
    return number


def main() -> None:
    """Make the transcripts that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--sessions", type=int, help="make so many sessions instead")
    parser.add_argument("--until", type=datetime.fromisoformat, default=UNTIL, help="when all sessions are over (UTC)")
    options = parser.parse_args()
    size = None if options.sessions else options.megabytes * 1_000_000
    until = options.until.replace(tzinfo=UTC)
    print(f"{make(options.folders, size, count=options.sessions, until=until)} sessions")


if __name__ == "__main__":
    main()
