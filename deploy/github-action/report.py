"""Writes the job summary and the outputs of the action. Everything that others wrote is checked or quoted."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

# Characters of the answer. GitHub takes 1 MB for all outputs of a job.
LONGEST = 100_000
TIMEOUT = 60


def main(folder: Path) -> None:
    """Write everything.

    Args:
        folder: where the action keeps its files.
    """
    result = read_result(folder / "result.json")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(multiline("result", str(result.get("result", ""))[:LONGEST]))
        command = folder / "venv" / "bin" / "claude-hooks-otel"
        session_id = session_of(result, command, folder)
        if session_id is None:
            return
        found = json.loads(run(command, "sessions", session_id, "--json"))["figures"]
        outputs.write(f"session-id={session_id}\n")
        outputs.writelines(f"{name}={value}\n" for name, value in outputs_of(found).items())
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(run(command, "sessions", session_id, "--markdown") + "\n")


def read_result(path: Path) -> dict[str, Any]:
    """Return what the client printed; nothing if it printed no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def session_of(result: dict[str, Any], command: Path, folder: Path) -> str | None:
    """Return the id of the session: what the client printed, or the newest since the step began."""
    found = result.get("session_id")
    if not found:
        began = (folder / "began").read_text(encoding="utf-8").strip()
        rows = json.loads(run(command, "sessions", "--since", began, "--top", "1", "--json"))["sessions"]
        found = rows[0]["session_id"] if rows else ""
    return found if isinstance(found, str) and re.fullmatch(r"[0-9A-Za-z-]{1,64}", found) else None


def outputs_of(figures: dict[str, Any]) -> dict[str, str]:
    """Return the outputs that are numbers."""
    parts = ("input_tokens", "cache_read_tokens", "cache_write_tokens")
    return {
        "cost-usd": "" if figures["cost_usd"] is None else f"{float(figures['cost_usd']):.6f}",
        "input-tokens": f"{sum(float(figures[part]) for part in parts):.0f}",
        "output-tokens": f"{float(figures['output_tokens']):.0f}",
        "duration-seconds": f"{float(figures['duration_seconds']):.1f}",
    }


def multiline(name: str, value: str) -> str:
    """Return an output of any content. Nobody can guess the line that ends it."""
    end = secrets.token_hex(16)
    return f"{name}<<{end}\n{value}\n{end}\n"


def run(command: Path, *arguments: str) -> str:
    """Return what a command of ours prints."""
    done = subprocess.run(
        [str(command), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=TIMEOUT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
