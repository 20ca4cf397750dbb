"""Make ``claude_hooks_otel/cli/recorded_sessions.json.gz`` from the recorded corpus: a few sessions of three agents.

python -m tests.data.make_demo
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
from claude_hooks_otel.sources.registration import REGISTERED
from tests.support.corpus import RECORDED_PROJECTS, Scenario

# (scenario, run, agent, project)
SESSIONS = [
    ("basic-edit", "main", "backend", "book-cataloger"),
    ("tasks", "tasks", "backend", "book-cataloger"),
    ("models", "several-models", "backend", "book-cataloger"),
    ("subagents", "parallel", "reviewer", "book-cataloger"),
    ("subagents", "custom-opus", "reviewer", "book-cataloger"),
    ("models", "cache-5m-and-1h", "frontend", "storefront"),
    ("git-work", "pr-create", "frontend", "storefront"),
    ("lines", "edit-replace-all", "frontend", "storefront"),
]
# Kinds of transcript lines that become facts. The others are left out.
KEPT = {"assistant", "user", "system", "cost-state", "pr-link"}


def main() -> None:
    """Write the file."""
    hooks: list[dict[str, Any]] = []
    files: dict[str, Any] = {}
    for name, run, agent, project in SESSIONS:
        scenario = Scenario(name)
        played = [hook for hook in scenario.hooks if hook.run == run and hook.event in REGISTERED]
        hooks += [
            {
                "t": hook.t,
                "event": hook.event,
                "environment": {"CLAUDE_AGENT_ID": agent, "CLAUDE_AGENT_PROJECT": project}
                | {
                    key: value
                    for key, value in hook.env.items()
                    if key in ("AI_AGENT", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID")
                },
                "payload": json.loads(hook.payload.decode().replace(RECORDED_PROJECTS, "{projects}/")),
            }
            for hook in played
        ]
        session = played[0].fields["session_id"]
        for transcript in sorted(scenario.transcript_names):
            if session in transcript:
                files[transcript] = [line for line in scenario.transcript(transcript) if line.get("type") in KEPT]
                meta = scenario.folder / "transcripts" / transcript.replace(".jsonl", ".meta.json")
                if meta.exists():
                    files[meta.relative_to(scenario.folder / "transcripts").as_posix()] = json.loads(meta.read_text())
    content = json.dumps({"hooks": hooks, "files": files}, separators=(",", ":")).encode()
    (ROOT / "claude_hooks_otel" / "cli" / "recorded_sessions.json.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    main()
