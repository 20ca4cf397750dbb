"""Makes transcripts of any size, as compact as the client writes them, with the kinds and sizes of lines of real sessions.

python -m bench.transcripts FOLDER [--megabytes 100]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# Days over which the sessions are spread.
DAYS = 60
MODELS = ("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")
WORDS = [
    "the",
    "parser",
    "reads",
    "each",
    "token",
    "and",
    "returns",
    "a",
    "tree",
    "of",
    "nodes",
    "that",
    "the",
    "printer",
    "walks",
    "in",
    "order",
    "of",
    "their",
    "place",
]


def compact(value: dict[str, Any]) -> bytes:
    """Return a line as the client writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def session(rng: random.Random, number: int, turns: int) -> Iterator[bytes]:
    """Yield the lines of one session."""
    session_id = f"{rng.getrandbits(128):032x}"
    session_id = "-".join((session_id[:8], session_id[8:12], session_id[12:16], session_id[16:20], session_id[20:]))
    moment = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(DAYS * 86400))
    project, model = f"/home/dev/project-{number % 20}", rng.choice(MODELS)
    parent: str | None = None

    def line(kind: str, **fields: Any) -> bytes:
        nonlocal parent, moment
        moment += timedelta(milliseconds=rng.randrange(50, 5000))
        uuid = f"{rng.getrandbits(128):032x}"
        value = {
            "parentUuid": parent, "isSidechain": False, "userType": "external", "cwd": project, "sessionId": session_id, "version": "2.1.330",
            "gitBranch": "main", "entrypoint": "cli", "type": kind, "uuid": uuid, "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        }  # fmt: skip
        parent = uuid
        return compact(value | fields)

    def text(words: int) -> str:
        return " ".join(rng.choices(WORDS, k=words))

    yield compact({"type": "mode", "mode": "default", "sessionId": session_id})
    for _ in range(turns):
        prompt = f"{rng.getrandbits(128):032x}"
        asked = {"role": "user", "content": text(20)}
        yield line("user", message=asked, promptId=prompt, promptSource="typed", turnOrigin="human")
        for _ in range(rng.randrange(2, 9)):
            usage = {
                "input_tokens": rng.randrange(10), "cache_creation_input_tokens": rng.randrange(5000), "cache_read_input_tokens": rng.randrange(90_000),
                "output_tokens": rng.randrange(1500), "service_tier": "standard",
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": rng.randrange(5000)},
            }  # fmt: skip
            message = {
                "id": f"msg_{rng.getrandbits(96):024x}",
                "type": "message",
                "role": "assistant",
                "model": model,
                "usage": usage,
                "stop_reason": "tool_use",
            }
            request, call = f"req_{rng.getrandbits(96):024x}", f"toolu_{rng.getrandbits(96):024x}"
            use = {
                "type": "tool_use",
                "id": call,
                "name": rng.choice(("Read", "Bash", "Grep")),
                "input": {"file_path": f"{project}/a.py", "command": f"ls {text(3)}"},
            }
            for block in ({"type": "thinking", "thinking": text(40)}, {"type": "text", "text": text(25)}, use):
                yield line("assistant", message=message | {"content": [block]}, requestId=request)
            output = text(rng.choice((5, 20, 60, 200)))
            block = {"tool_use_id": call, "type": "tool_result", "content": output}
            yield line(
                "user",
                message={"role": "user", "content": [block]},
                promptId=prompt,
                toolUseResult={"stdout": output, "stderr": "", "interrupted": False},
            )
        if rng.random() < 0.3:
            yield line("attachment", attachment={"type": "todo_reminder", "content": [], "itemCount": 0})
        yield compact(
            {
                "type": "file-history-snapshot",
                "messageId": prompt,
                "snapshot": {"trackedFileBackups": {}},
                "isSnapshotUpdate": False,
            }
        )


def make(folder: Path, size: int, seed: int = 1) -> int:
    """Fill a configuration folder with transcripts of a size, bytes. Return how many sessions they have."""
    rng = random.Random(seed)
    written, number = 0, 0
    while written < size:
        content = b"".join(session(rng, number, rng.choice((3, 10, 40, 120))))
        name = json.loads(content.split(b"\n", 1)[0])["sessionId"]
        path = folder / "projects" / f"-home-dev-project-{number % 20}" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written, number = written + len(content), number + 1
    return number


def main() -> None:
    """Make the transcripts that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    print(f"{make(options.folder, options.megabytes * 1_000_000)} sessions")


if __name__ == "__main__":
    main()
