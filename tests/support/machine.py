"""A home whose time, hook events and transcripts a test makes itself."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import SECOND
from tests.support.replay import Clock

START_NS = 1_795_000_000_000_000_000
# (seconds since START_NS, process, session, event, further fields)
Event = tuple[float, str, str, str, dict[str, Any]]


def iso(seconds: float) -> str:
    """Return a time of a transcript, from seconds since START_NS."""
    at = datetime.fromtimestamp(START_NS / SECOND + seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Machine:
    """A home whose clock only the test advances."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(START_NS)
        self.core: Core = assemble_core(
            Home(folder / "home"), Config(), self.clock, wanted={"traces": ["test"], "logs": ["test"]}
        )

    def transcript(self, session: str) -> Path:
        return self.folder / "projects" / "shop" / f"{session}.jsonl"

    def write(self, session: str, *lines: dict[str, Any]) -> None:
        """Append lines to the session's transcript."""
        path = self.transcript(session)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(json.dumps(line | {"sessionId": session}) + "\n" for line in lines)

    def receive(self, *found: Event) -> None:
        """Write events to the spool, each with its own time."""
        for number, (seconds, process, session, event, fields) in enumerate(found):
            payload = {"session_id": session, "transcript_path": str(self.transcript(session)), "cwd": "/shop"}
            content = Envelope(
                "", 0, event, {"process": process}, json.dumps(payload | {"hook_event_name": event} | fields).encode()
            ).encode()
            path = self.core.spool.new / f"{event}.{session}.{seconds}.{number}"
            path.write_bytes(content)
            at = START_NS + round(seconds * SECOND)
            os.utime(path, ns=(at, at))
            self.clock.now_ns = max(self.clock.now_ns, at)

    def read(self) -> None:
        """Read what waits, and follow the sessions."""
        while self.core.intake.take_events():
            pass
        self.core.intake.follow_sessions(everything=True)

    def wait(self, seconds: float) -> None:
        """Let time pass without an event."""
        for _ in range(4):
            self.clock.advance(seconds / 4)
            self.core.intake.follow_sessions(everything=True)

    def totals(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for point in self.core.totals.points():
            found[point.metric.name] += point.value
        return found
