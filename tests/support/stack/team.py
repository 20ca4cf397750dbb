"""Machines that play recorded sessions through hooks, spool, daemon and OTLP, and their totals."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.sources.status_input import hand_on
from claude_hooks_otel.store.connection import connect, read_meta
from monitoring.rig.stack import Labels, Stack
from tests.support.corpus import RecordedHook
from tests.support.real_daemon import Installation, PlayedHook, RecordedSessions

# Totals that do not change for this many seconds are final: the daemon closes a session five seconds after its end.
QUIET = 6.5

# (Prometheus name of a growing series, labels) -> its total in stored units. A histogram has a `_sum` and a `_count`.
Totals = Counter[tuple[str, Labels]]


class Machine:
    """One installation and its client's transcripts."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.installation = Installation(folder, environ)
        self._visits = 0
        self.open_session = ""

    def play(self, *names: str, without: str = "") -> None:
        """Play recorded sessions as if they happened now. The hooks of the event ``without`` do not run."""
        self._visits += 1
        sessions = RecordedSessions(names, self.folder / f"visit-{self._visits}" / "projects")
        for hook in sessions.hooks:
            if hook.event != without:
                self.installation.run_hook(hook)

    @property
    def instance(self) -> str:
        """The label ``instance`` of the machine's series."""
        with closing(connect(self.installation.home.store, readonly=True)) as connection:
            return read_meta(connection, "instance_id")

    def play_events(
        self, *events: tuple[str, dict[str, Any]], session: str | None = None, agent: str = "Backend"
    ) -> str:
        """Send events that are not in the recordings through the real hook. Return their session."""
        session = session or str(uuid.uuid4())
        for event, fields in events:
            now = time.time()
            transcript = str(self._transcript(session))
            common = {
                "session_id": session,
                "transcript_path": transcript,
                "cwd": "/home/dev/shop",
                "hook_event_name": event,
            }
            payload = json.dumps(common | fields).encode()
            environ = {"CLAUDE_PROJECT_DIR": "/home/dev/shop", "CLAUDE_CODE_ENTRYPOINT": "cli"}
            recorded = RecordedHook(now, event, "made up", environ, payload, "/home/dev/shop")
            self.installation.run_hook(PlayedHook(recorded, payload, round(now * 1e9)), agent=agent)
        return session

    def test_and_write(self, agent: str = "Backend") -> None:
        """Play a session that runs tests, breaks two of them and writes a skill, and a second session that stays open."""
        self.play_events(
            ("SessionStart", {"source": "startup"}),
            _bash("pytest --cov", "TOTAL    40    4    90%\n12 passed in 0.31s"),
            _write("/home/dev/shop/.claude/skills/release/SKILL.md", "---\nname: release\n---\nTag, build, publish.\n"),
            _bash("pytest --cov", "TOTAL    40    8    80%\n2 failed, 10 passed in 0.35s"),
            ("SessionEnd", {"reason": "other"}),
            agent=agent,
        )
        self.open_session = self.play_events(
            ("SessionStart", {"source": "startup"}), _bash("pytest", "12 passed in 0.30s"), agent=agent
        )

    def show_status(self) -> None:
        """Show the status line of the session that is open, on a subscription with limits."""
        window = {"used_percentage": 42.0, "resets_at": time.time() + 3600}
        path = str(self._transcript(self.open_session))
        status = {"session_id": self.open_session, "transcript_path": path, "rate_limits": {"five_hour": window}}
        home = self.installation.home.root
        assert hand_on(status, str(home), {"CLAUDE_AGENT_ID": "Backend"} | self.installation.session, time.time_ns())

    def lose_an_event(self) -> None:
        """Leave an empty file in the spool, as a hook does on a full disk."""
        name = f"PostToolUse.{uuid.uuid4()}.1"
        (self.installation.home.spool / "new" / name).touch(mode=0o600)

    def damage_a_transcript(self) -> None:
        """Play a session whose transcript has a cut line."""
        session = str(uuid.uuid4())
        transcript = self._transcript(session)
        transcript.parent.mkdir(parents=True, exist_ok=True)
        transcript.write_text('{"type": "assistant", "sessionId"\n')
        self.play_events(("SessionStart", {"source": "startup"}), ("SessionEnd", {"reason": "other"}), session=session)

    def _transcript(self, session: str) -> Path:
        return self.folder / "projects" / "shop" / f"{session}.jsonl"

    def totals(self) -> Totals:
        """Return the totals in the store."""
        found: Totals = Counter()
        with closing(connect(self.installation.home.store, readonly=True)) as connection:
            for point in read_points(connection, CATALOG):
                name, labels = point.metric.prometheus_name, frozenset(point.labels)
                if point.metric.kind is Kind.HISTOGRAM:
                    found[f"{name}_sum", labels] += point.value
                    found[f"{name}_count", labels] += point.count
                else:
                    found[name, labels] += point.value
        return found


def _bash(command: str, output: str) -> tuple[str, dict[str, Any]]:
    answer = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False}
    return _tool("Bash", {"command": command}, answer)


def _write(path: str, content: str) -> tuple[str, dict[str, Any]]:
    answer = {"type": "create", "filePath": path, "content": content, "structuredPatch": [], "originalFile": None}
    return _tool("Write", {"file_path": path, "content": content}, answer)


def _tool(name: str, given: dict[str, Any], answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    fields = {"tool_name": name, "tool_input": given, "tool_response": answer, "duration_ms": 320}
    return "PostToolUse", fields | {"tool_use_id": f"toolu_{uuid.uuid4().hex[:24]}"}


def final_totals(machines: Iterable[Machine]) -> Totals:
    """Wait until the totals are final, and return their sums over all machines."""
    machines = list(machines)
    deadline = time.monotonic() + 90
    seen: Totals = Counter()
    changed_at = time.monotonic()
    while time.monotonic() < deadline:
        now: Totals = Counter()
        for machine in machines:
            now.update(machine.totals())
        waiting = any(machine.installation.pid and machine.installation.waiting() for machine in machines)
        if _steady(now) != _steady(seen) or waiting:
            seen, changed_at = now, time.monotonic()
        elif time.monotonic() - changed_at > QUIET:
            return now
        time.sleep(0.2)
    raise TimeoutError("the totals keep changing")


def _steady(totals: Totals) -> Totals:
    """Return the totals without failed exports, which keep growing while an endpoint is away."""
    return Counter({key: value for key, value in totals.items() if key[0] != "claude_hooks_export_failures_total"})


def scale(name: str) -> int:
    """Return how many stored units make one exported unit of a growing series."""
    for metric in CATALOG.values():
        if name in {metric.prometheus_name, f"{metric.prometheus_name}_sum"}:
            return metric.scale
    return 1


def arrived(stack: Stack, totals: Totals, timeout: float = 30.0) -> float:
    """Wait until Prometheus has these totals. Return a moment at which it had them, in Unix seconds."""
    wanted = {key: value / scale(key[0]) for key, value in _steady(totals).items() if value}
    deadline = time.monotonic() + timeout
    while True:
        at = time.time()
        lacking = _lacking(stack, wanted, at)
        if not lacking:
            return at
        assert time.monotonic() < deadline, "Prometheus lacks:\n" + "\n".join(lacking[:20])
        time.sleep(0.25)


def _lacking(stack: Stack, wanted: Mapping[tuple[str, Labels], float], at: float) -> list[str]:
    # This reads raw samples, so it does not depend on the expressions under test.
    found: Counter[tuple[str, Labels]] = Counter()
    for labels, value in stack.instant('last_over_time({__name__=~"claude_.+_(total|sum|count)"}[1h])', at).items():
        pairs = dict(labels)
        name = pairs.pop("__name__")
        found[
            name, frozenset((key, text) for key, text in pairs.items() if key not in ("job", "instance", "gateway"))
        ] += value
    return [
        f"{name} {sorted(labels)}: {found.get((name, labels))}, wanted {value}"
        for (name, labels), value in wanted.items()
        if abs(found.get((name, labels), -1.0) - value) > 1e-6 * max(1.0, value)
    ]
