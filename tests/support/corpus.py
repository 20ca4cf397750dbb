"""The recorded sessions of the real client: hook events, transcripts and the client's telemetry.

`data/corpus/README.md` describes the recordings and the content of `truth.json`.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.places import DATA

FOLDER = DATA / "corpus"
SCENARIOS: list[str] = sorted(path.parent.name for path in FOLDER.glob("*/truth.json"))
RECORDED_PROJECTS = "/home/dev/.claude/projects/"
"""Where the recorded client kept its transcripts; every `transcript_path` in a payload begins with it."""


@dataclass(frozen=True, slots=True)
class RecordedHook:
    """One hook event of a recorded session."""

    t: float
    """Receipt time, seconds since the epoch."""
    event: str
    """`hook_event_name`, which was also the hook's only argument."""
    run: str
    """The name of the client's run inside the scenario."""
    env: dict[str, str]
    """The hook's environment, as far as its names begin with CLAUDE or AI_AGENT."""
    payload: bytes
    """The JSON object that the hook read on standard input."""
    cwd: str
    """The hook's working directory."""

    @property
    def fields(self) -> dict[str, Any]:
        """Return the parsed payload."""
        parsed: dict[str, Any] = json.loads(self.payload)
        return parsed


def _json_bytes(value: object) -> bytes:
    """Return JSON as the client writes it (JavaScript's `JSON.stringify`)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Scenario:
    """A recorded scenario: a few sessions with the same home and project."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = FOLDER / name

    @cached_property
    def hooks(self) -> list[RecordedHook]:
        """Return every hook event of the scenario, in order of receipt."""
        with gzip.open(self.folder / "hooks.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [
                RecordedHook(
                    t=recorded["t"],
                    event=recorded["argv"][0],
                    run=recorded["run"],
                    env=recorded["env"],
                    payload=_json_bytes(recorded["payload"]),
                    cwd=recorded["cwd"],
                )
                for recorded in map(json.loads, lines)
            ]

    @cached_property
    def truth(self) -> dict[str, Any]:
        """Return what the client's own telemetry, its results and git report about the scenario."""
        content: dict[str, Any] = json.loads((self.folder / "truth.json").read_text(encoding="utf-8"))
        return content

    @cached_property
    def teammates(self) -> dict[str, str]:
        """Return agent call → agent id of the teammate that it started."""
        told = [recorded.fields for recorded in self.hooks if recorded.event == "PostToolUse"]
        return {
            fields["tool_use_id"]: fields["tool_response"]["agentId"]
            for fields in told
            if isinstance(fields["tool_response"], dict) and fields["tool_response"].get("status") == "teammate_spawned"
        }

    @property
    def transcript_names(self) -> set[str]:
        """Return the names of the transcripts, relative to the client's `projects/` folder."""
        root = self.folder / "transcripts"
        return {path.relative_to(root).as_posix().removesuffix(".gz") for path in root.rglob("*.jsonl.gz")}

    def transcript(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of one transcript, by its name in `transcript_names`."""
        with gzip.open(self.folder / "transcripts" / (name + ".gz"), "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def write_transcripts(self, target_dir: Path) -> None:
        """Unpack the client's `projects/` folder into `target_dir`, as it was at the end."""
        root = self.folder / "transcripts"
        for path in sorted(root.rglob("*")):
            if not path.is_file():
                continue
            copy = target_dir / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".gz":
                copy.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            else:
                copy.write_bytes(path.read_bytes())


def replay_payload(hook: RecordedHook, target: Path) -> bytes:
    """Return the hook's payload with transcript paths below `target`, where `write_transcripts` unpacks them.

    A path without a file in the recording, such as that of a compaction's agent, has no file here either.
    """
    fields = hook.fields
    for name in ("transcript_path", "agent_transcript_path"):
        if isinstance(path := fields.get(name), str):
            fields[name] = str(target / path.removeprefix(RECORDED_PROJECTS))
    return _json_bytes(fields)
