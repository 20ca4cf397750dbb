"""Finding and tailing the transcripts of a session: its own file and those of its sub-agents.

The client moves files (worktrees), names some that never come into being (a resume from another directory), writes late, and
leaves half a line at the end. So a file is known by its session and agent, found again by name, and read up to its last line
break only.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Bytes read at a time: whole transcripts (tens of megabytes) never stand in memory.
CHUNK = 1 << 20
# A line longer than this is skipped: the largest real ones hold an image or a 600 kB file twice.
LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True)
class TranscriptFile:
    """A file to tail: ``agent_id`` is empty for the main conversation."""

    session_id: str
    agent_id: str
    path: Path

    @property
    def key(self) -> tuple[str, str]:
        """Session and agent: the same when the client moves the file."""
        return self.session_id, self.agent_id


@dataclass(frozen=True, slots=True)
class AgentMeta:
    """What ``agent-<id>.meta.json`` says of a sub-agent."""

    agent_type: str | None
    tool_use_id: str | None
    parent_agent_id: str | None


def find_main(session_id: str, hinted: Path) -> Path | None:
    """The session's own transcript: where a hook said, else in any project folder next to it; None if there is none (yet)."""
    if hinted.name != f"{session_id}.jsonl":
        return None
    try:
        if hinted.is_file():
            return hinted
        found = [path for path in hinted.parent.parent.glob(f"*/{glob.escape(hinted.name)}") if path.is_file()]
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    except (OSError, ValueError):
        return None  # moved that very moment, not readable by us, or no path at all


def find_agents(main: Path) -> Iterator[TranscriptFile]:
    """The transcripts of the session's sub-agents, workflows' included."""
    folder = main.with_suffix("") / "subagents"
    for directory, _, names in os.walk(folder):
        for name in sorted(names):
            if name.startswith("agent-") and name.endswith(".jsonl"):
                yield TranscriptFile(main.stem, name[len("agent-") : -len(".jsonl")], Path(directory, name))


def read_agent_meta(transcript: Path) -> AgentMeta | None:
    """The file beside an agent's transcript; None if it is not there or not readable (yet)."""
    try:
        value: Any = json.loads(transcript.with_suffix(".meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict):
        return None
    return AgentMeta(*(_text(value.get(name)) for name in ("agentType", "toolUseId", "parentAgentId")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def read_lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """The complete lines from ``offset`` on, each with the offset behind it. A line without its line break stays for later.

    In place of a line longer than LONGEST_LINE an empty one is given.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        rest = b""
        while chunk := file.read(CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                offset += len(line) + 1
                yield line, offset
            if len(rest) > LONGEST_LINE:
                offset, rest = _skip_line(file, offset + len(rest)), b""
                if not offset:
                    return
                yield b"", offset  # so that it is behind whoever reads on


def _skip_line(file: Any, position: int) -> int:
    """The offset behind the current overlong line; 0 if it is not complete yet."""
    while chunk := file.read(CHUNK):
        end = chunk.find(b"\n")
        if end >= 0:
            position += end + 1
            file.seek(position)
            return position
        position += len(chunk)
    return 0
