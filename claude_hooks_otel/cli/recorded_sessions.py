"""Recorded sessions of the real client, played through the real hook entrypoint: for people without Claude Code."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.sources.registration import command

_RECORDING = Path(__file__).with_suffix(".json.gz")
# Seconds between the recordings' end and now: everything in them is over.
_AGO = 60.0


def play(home: Home, folder: Path, emit: Path) -> int:
    """Play the recorded sessions as if they had just ended: run the hook for every event, and put the transcripts where it says.

    Args:
        home: where the hooks capture to.
        folder: where the transcripts go.
        emit: ``hooks/emit``.

    Returns:
        How many hook events were played.
    """
    with gzip.open(_RECORDING, "rt", encoding="utf-8") as file:
        recording: dict[str, Any] = json.load(file)
    shift = time.time() - _AGO - max(hook["t"] for hook in recording["hooks"])
    for name, content in recording["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            path.write_text("".join(json.dumps(_moved(line, shift)) + "\n" for line in content))
        else:
            path.write_text(json.dumps(content))
    home.create()
    # This PATH has no interpreter and no console script, so hooks start nothing. What they capture waits for the flush.
    base = {"PATH": "/usr/bin:/bin", HOME_VARIABLE: str(home.root)}
    dated: set[str] = set()
    for hook in recording["hooks"]:
        payload = json.dumps(hook["payload"]).replace("{projects}", str(folder))
        subprocess.run(
            ["/bin/sh", "-c", command(hook["event"], str(emit))],
            input=payload.encode(),
            env=base | hook["environment"],
            check=True,
        )
        at = hook["t"] + shift
        for entry in os.scandir(home.spool / "new"):
            if entry.name not in dated:  # the file's time is the time of receipt: set it to the recorded one
                os.utime(entry.path, (at, at))
                dated.add(entry.name)
    return len(recording["hooks"])


def _moved(line: dict[str, Any], shift: float) -> dict[str, Any]:
    """Return a transcript line as if it was written ``shift`` seconds later."""
    if isinstance(line.get("timestamp"), str):
        moment = datetime.fromisoformat(line["timestamp"]) + timedelta(seconds=shift)
        line["timestamp"] = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if "startTime" in line:
        line["startTime"] += round(shift * 1000)
    return line
