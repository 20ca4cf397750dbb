"""Finds and reads the transcripts of a session: its own file and those of its sub-agents.

The client moves files (worktrees), names files that it never creates (after a resume from another directory), writes late, and leaves
half a line at the end. So a file is identified by its session and agent, found again by its name, and read up to its last complete line
or record.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.foreign_files import open_foreign, read_foreign, skipping_unreadable, walk_foreign
from claude_hooks_otel.sources.records import parsed, read_records
from claude_hooks_otel.units import SECOND

# Bytes that are read at a time. A whole transcript (tens of megabytes) is never in memory.
CHUNK = 1 << 20
# A line that needs more bytes in memory is skipped. The largest real lines contain an image twice, or a file of 600 kB.
LONGEST_LINE = 12 << 20
# Characters that Python keeps in four and in two bytes, as UTF-8 or escaped.
_WIDEST = re.compile(rb"[\xf0-\xff]|\\u[dD][89abAB]")
_WIDE = re.compile(rb"[\xc4-\xef]|\\u")
# The client's folder of transcripts, inside its configuration folder. It has a folder for each project.
PROJECTS = "projects"
# Bytes of a metadata file.
MOST_META = 1 << 16
# Folders whose agents' transcripts are remembered.
MOST_FOLDERS = 64
# Bytes before the cursor by which a rewritten file is recognized.
FINGERPRINT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class TranscriptFile:
    """A transcript. ``agent_id`` is empty for the main conversation."""

    session_id: str
    agent_id: str
    path: Path

    @property
    def key(self) -> tuple[str, str]:
        """Session and agent. They stay the same if the client moves the file."""
        return self.session_id, self.agent_id


@dataclass(frozen=True, slots=True)
class AgentMeta:
    """The content of a sub-agent's ``agent-<id>.meta.json``."""

    agent_type: str | None
    tool_use_id: str | None
    parent_agent_id: str | None


def find_main(session_id: str, hinted: Path) -> Path | None:
    """Return the session's own transcript: the path from a hook, or the file in another project folder. None if there is none (yet).

    A hook's payload may name any path. Only ``projects/<project>/<session>.jsonl`` can be a transcript.
    """
    if hinted.name != f"{session_id}.jsonl" or hinted.parent.parent.name != PROJECTS or not hinted.is_absolute():
        return None
    try:
        if hinted.is_file():
            return hinted
        found = [path for path in hinted.parent.parent.glob(f"*/{glob.escape(hinted.name)}") if path.is_file()]
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    except (OSError, ValueError):
        return None  # moved just now, not readable for this user, or not a path


def config_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the configuration folders in which the client keeps transcripts on this machine.

    ``CLAUDE_CONFIG_DIR`` can name one, or several with commas between them, as other tools read it.
    """
    if named := environ.get("CLAUDE_CONFIG_DIR"):
        return [Path(part).expanduser() for part in map(str.strip, named.split(",")) if part]
    user = Path(environ.get("HOME") or Path.home())
    return [folder for folder in (user / ".claude", user / ".config" / "claude") if (folder / PROJECTS).is_dir()]


def has_history(environ: Mapping[str, str]) -> bool:
    """Return whether there are transcripts of sessions on this machine."""
    return any(True for folder in config_folders(environ) for _ in folder.glob(f"{PROJECTS}/*/*.jsonl"))


def find_agents(main: Path) -> Iterator[TranscriptFile]:
    """Yield the transcripts of the session's sub-agents, including those of workflows.

    They are below the session's folder. Clients before 2.1 write them next to the session's transcript.
    """
    folder = main.with_suffix("") / "subagents"
    for path in (*filter(_is_agent, walk_foreign(folder)), *_agents_beside(main)):
        yield TranscriptFile(main.stem, path.stem[len("agent-") :], path)


def _is_agent(path: Path) -> bool:
    return path.name.startswith("agent-") and path.name.endswith(".jsonl")


# File systems keep modification times in ticks, some of them of seconds.
_TICK_NS: Final = 3 * SECOND
# A project's folder → when it was modified, and the agents' transcripts in it by session.
_beside: dict[Path, tuple[int, dict[str | None, list[Path]]]] = {}


def _agents_beside(main: Path) -> Sequence[Path]:
    """Return the agents' transcripts in the same folder that belong to the session. Only the first line of each says so."""
    folder = main.parent
    try:
        modified_ns = folder.stat().st_mtime_ns
        known = _beside.get(folder)
        if known and known[0] == modified_ns:
            return known[1].get(main.stem, ())
        by_session: dict[str | None, list[Path]] = {}
        for path in sorted(filter(_is_agent, folder.iterdir())):
            if not path.is_file():
                continue
            by_session.setdefault(_session_of(path), []).append(path)
    except OSError:
        return ()
    # Otherwise, a first line is not complete yet, or a file may come within the same tick of the clock.
    if "" not in by_session and time.time_ns() - modified_ns > _TICK_NS:
        while len(_beside) >= MOST_FOLDERS:
            del _beside[next(iter(_beside))]
        _beside[folder] = modified_ns, by_session
    return by_session.get(main.stem, ())


def _session_of(transcript: Path) -> str | None:
    """Return the session that a transcript's first line names. Empty if that line is not complete, None if the file cannot be read."""
    try:
        with open_foreign(transcript) as file:
            records = read_records(file.readline(CHUNK)).values
    except OSError:
        return None
    return str(records[0].get("sessionId", "")) if records else ""


def read_agent_meta(transcript: Path) -> AgentMeta | None:
    """Read the metadata file next to a sub-agent's transcript. Return None if it is missing or unreadable (yet)."""
    try:
        value: Any = json.loads(read_foreign(transcript.with_suffix(".meta.json"), MOST_META))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return AgentMeta(*(_text(value.get(name)) for name in ("agentType", "toolUseId", "parentAgentId")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def read_lines(path: Path, offset: int, *, in_long_line: bool = False) -> Iterator[tuple[bytes | None, int]]:
    """Yield the lines from ``offset`` on, each with the offset behind it.

    The last line needs no line break if it is a complete record. Otherwise it is left for later, because its writer may still be at work.
    A line longer than LONGEST_LINE is skipped: for each part of it, None is yielded, and an empty line for the last part. If the file
    cannot be read, because it was moved or removed, there are no more lines.

    Reading the lines raises OSError if this process cannot open any file at the moment.

    Args:
        path: the file.
        offset: where to begin.
        in_long_line: whether the offset is inside a line that is skipped: the last value was None.
    """
    with skipping_unreadable(), open_foreign(path) as file:
        file.seek(offset)
        rest = b""
        while chunk := file.read(CHUNK):
            if in_long_line:
                _, line_break, chunk = chunk.partition(b"\n")
                offset, in_long_line = file.tell() - len(chunk), not line_break
                yield b"" if line_break else None, offset
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                offset += len(line) + 1
                yield line, offset
            if len(rest) > LONGEST_LINE:
                offset, rest, in_long_line = offset + len(rest), b"", True
                yield None, offset
        if is_complete(rest):
            yield rest, offset + len(rest)


def is_too_long(line: bytes) -> bool:
    """Return whether a line needs more than LONGEST_LINE in memory. One wide character makes every character of its text wide."""
    if len(line) * 4 <= LONGEST_LINE:
        return False
    width = 4 if _WIDEST.search(line) else 2 if _WIDE.search(line) else 1
    return len(line) * width > LONGEST_LINE


def is_complete(line: bytes) -> bool:
    """Return whether a line is one JSON object. A part of an object never is."""
    if is_too_long(line) or not line.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(parsed(line), dict)
    except (ValueError, RecursionError):
        return False


def fingerprint(path: Path, offset: int) -> bytes:
    """Return a digest of the bytes before an offset. They hold the id and the time of the last line. Empty if they cannot be read."""
    try:
        with open_foreign(path) as file:
            begin = max(0, offset - FINGERPRINT_BYTES)
            file.seek(begin)
            return hashlib.blake2b(file.read(offset - begin), digest_size=8).digest()
    except OSError:
        return b""
