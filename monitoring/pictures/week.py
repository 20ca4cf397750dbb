"""Simulate a week of a small team, for pictures: play recorded sessions of the real client at other times.

Every figure is what the product computes from the recordings, sampled as a scrape would sample it. Only the times and the agents are
invented. The samples go into a real Prometheus as blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.delivery.snapshots import Snapshots
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import SECOND
from tests.support.corpus import RECORDED_PROJECTS, RecordedHook, Scenario
from tests.support.real_daemon import _complete_sessions, _shifted
from tests.support.replay import HEADERS, Clock

DAYS = 7
# Seconds between samples. A bar in a picture is much wider.
EVERY = 300
# Agent, project, the scenarios that it plays, sessions on a working day.
TEAM = (
    ("backend", "storefront", ("basic-edit", "git-work", "tasks", "files", "lines", "subagents"), 7),
    ("frontend", "storefront", ("basic-edit", "lines", "skills", "permissions"), 5),
    ("reviewer", "storefront", ("subagents", "agent-main", "resume"), 3),
    ("data", "warehouse", ("git-work", "mcp", "background", "tasks", "auto-compact"), 5),
    ("docs", "handbook", ("files", "instructions", "skills"), 3),
)
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ID = re.compile(rb"\b(toolu|msg|req)_([0-9A-Za-z_]+)")
_AGENT = re.compile(rb"\ba[0-9a-f]{16}\b")


def _renamed(content: bytes, play: str) -> bytes:
    """Return the content with every identifier replaced: the same one by the same one, and differently for each play."""

    def number(match: re.Match[bytes]) -> bytes:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, play + match[0].decode())).encode()

    def name(match: re.Match[bytes]) -> bytes:
        return match[1] + b"_" + hashlib.sha1(play.encode() + match[2], usedforsecurity=False).hexdigest()[:20].encode()

    def agent(match: re.Match[bytes]) -> bytes:
        return b"a" + hashlib.sha1(play.encode() + match[0], usedforsecurity=False).hexdigest()[:16].encode()

    return _AGENT.sub(agent, _ID.sub(name, _UUID.sub(number, content)))


class Desk:
    """One agent's machine."""

    def __init__(self, folder: Path, agent: str, begin: float) -> None:
        self.folder, self.agent = folder, agent
        self.home = Home(folder / "home")
        self.clock = Clock(round(begin * SECOND))
        config = Config()
        self.core = assemble_core(self.home, config, self.clock, history_ns=0)
        scores = Scores(self.core.facts, config.scores)
        self._snapshots = Snapshots(
            self.core.facts, self.core.totals, self.core.exemplars, scores, self.core.spool.depth
        )
        self._plays = 0

    def play(self, scenario: Scenario, project: str, at: float) -> None:
        """Play one recorded scenario that begins at ``at``."""
        self._plays += 1
        play = f"{self.agent}-{self._plays}"
        hooks = _complete_sessions(scenario)
        if not hooks:
            return
        shift = at - hooks[0].t
        projects = self.folder / f"play-{self._plays}" / "projects"
        scenario.write_transcripts(projects)
        for path in sorted(projects.rglob("*"), reverse=True):
            if path.is_file():
                path.write_bytes(_renamed(_shifted(path.read_bytes(), shift), play))
            path.rename(path.with_name(_renamed(path.name.encode(), play).decode()))
        for number, hook in enumerate(hooks):
            self._take(hook, f"{play}.{number}", hook.t + shift, projects, project, play)
        self.wait(600)

    def _take(self, hook: RecordedHook, name: str, at: float, projects: Path, project: str, play: str) -> None:
        headers = {"agent": self.agent} | {HEADERS[key]: value for key, value in hook.env.items() if key in HEADERS}
        headers["project"] = project
        payload = _renamed(hook.payload.replace(RECORDED_PROJECTS.encode(), f"{projects}/".encode()), play)
        path = self.home.spool / "new" / f"{hook.event}.{name}"
        path.write_bytes(Envelope(path.name, 0, hook.event, headers, payload).encode())
        os.utime(path, ns=(round(at * SECOND),) * 2)
        self.clock.now_ns = max(self.clock.now_ns, round(at * SECOND))
        while self.core.intake.take_events():
            pass
        self.core.intake.follow_sessions(everything=True)

    def tell(self, event: str, fields: dict[str, object], at: float, project: str, session: str) -> None:
        """Take in an event that is not in the recordings."""
        common = {"session_id": session, "transcript_path": str(self.folder / f"{session}.jsonl"), "cwd": "/home/dev/p"}
        payload = json.dumps(common | {"hook_event_name": event} | fields).encode()
        hook = RecordedHook(at, event, "told", {"CLAUDE_CODE_ENTRYPOINT": "cli"}, payload, "/home/dev/p")
        self._take(hook, f"{session}.{at}", at, self.folder, project, "")

    def wait(self, seconds: float) -> None:
        """Advance the clock, so that sessions end."""
        self.clock.advance(seconds)
        self.core.intake.follow_sessions(everything=True)

    def lines(self) -> Iterator[str]:
        """Yield every series as it stands, in OpenMetrics text."""
        for point in self._snapshots.take(recompute=True).points:
            yield from _lines(point, f"{self.agent}-desk", self.clock.now_ns / SECOND)


def _lines(point: SeriesPoint, instance: str, at: float) -> Iterator[str]:
    name, scale = point.metric.prometheus_name, point.metric.scale
    labels = [*point.labels, ("instance", instance), ("job", "claude-hooks-otel")]
    inside = ",".join(f'{key}="{value}"' for key, value in labels)
    if point.metric.kind is not Kind.HISTOGRAM:
        yield f"{name}{{{inside}}} {point.value / scale!r} {at:.3f}"
        return
    reached = 0
    for bound, count in zip((*point.metric.buckets, "+Inf"), point.bucket_counts, strict=True):
        reached += count
        yield f'{name}_bucket{{{inside},le="{bound}"}} {reached} {at:.3f}'
    yield f"{name}_sum{{{inside}}} {point.value / scale!r} {at:.3f}"
    yield f"{name}_count{{{inside}}} {point.count} {at:.3f}"


def _tests(desk: Desk, project: str, at: float, chance: random.Random) -> None:
    """Play a session that runs its project's tests a few times."""
    session = str(uuid.UUID(int=chance.getrandbits(128)))
    desk.tell("SessionStart", {"source": "startup"}, at, project, session)
    failing = chance.choice((0, 0, 0, 1, 3))
    for run in range(chance.randint(2, 4)):
        at += chance.uniform(60, 400)
        bad = max(0, failing - run) if chance.random() < 0.9 else failing + 1
        passed = 148 + chance.randint(0, 20)
        told = f"{bad} failed, {passed} passed" if bad else f"{passed} passed"
        output = f"TOTAL  2400  {chance.randint(220, 480)}  {chance.randint(80, 91)}%\n{told} in 4.31s"
        call = f"toolu_{chance.getrandbits(80):020x}"
        answer = {"stdout": output, "stderr": "", "interrupted": False, "isImage": False}
        fields = {"tool_name": "Bash", "tool_input": {"command": "pytest --cov"}, "tool_response": answer}
        desk.tell("PostToolUse", fields | {"tool_use_id": call, "duration_ms": 4400}, at, project, session)
    if chance.random() < 0.4:
        path, content = (
            f"/home/dev/p/.claude/skills/lesson-{chance.randint(1, 999)}/SKILL.md",
            "---\nname: lesson\n---\nText.\n",
        )
        answer = {"type": "create", "filePath": path, "content": content, "structuredPatch": [], "originalFile": None}
        fields = {"tool_name": "Write", "tool_input": {"file_path": path, "content": content}, "tool_response": answer}
        call = f"toolu_{chance.getrandbits(80):020x}"
        desk.tell("PostToolUse", fields | {"tool_use_id": call, "duration_ms": 5}, at + 3, project, session)
    desk.tell("SessionEnd", {"reason": "other"}, at + 5, project, session)
    desk.wait(600)


def samples(folder: Path, end: float) -> Iterator[str]:
    """Yield the whole week as lines of OpenMetrics text. It ends at ``end``, in Unix seconds."""
    chance = random.Random(20261125)
    begin = datetime.fromtimestamp(end, UTC) - timedelta(days=DAYS)
    scenarios = {name: Scenario(name) for _, _, names, _ in TEAM for name in names}
    for agent, project, names, sessions in TEAM:
        desk = Desk(folder / agent, agent, begin.timestamp())
        plans: list[tuple[float, str]] = []
        for day in range(DAYS + 1):
            # A working day has eight hours and ends at the time of the picture. The weekend is quieter.
            base = end - (DAYS - day) * 86_400 - 8 * 3600
            busy = sessions if day % 7 not in (3, 4) else max(1, sessions // 4)
            moments = sorted(base + chance.uniform(0, 7.6 * 3600) for _ in range(busy + 1))
            plans += [
                (at, "tests" if number == busy // 2 else chance.choice(names)) for number, at in enumerate(moments)
            ]
        plans = [(at, what) for at, what in plans if at > begin.timestamp() + 600]
        newest = 0.0
        for planned, what in plans:
            at = max(planned, desk.clock.now_ns / SECOND + 60)  # sessions do not overlap
            # After a session, the daemon sends a few times more and then stops.
            for quiet in range(1, 4):
                if (moment := newest + quiet * EVERY) < at and newest:
                    desk.clock.now_ns = round(moment * SECOND)
                    yield from desk.lines()
            if what == "tests":
                _tests(desk, project, at, chance)
            else:
                desk.play(scenarios[what], project, at)
            newest = desk.clock.now_ns / SECOND
            if newest > end:
                break
            desk.wait(0)
            yield from desk.lines()
        # At the end, one session is still open.
        desk.clock.now_ns = max(desk.clock.now_ns, round((end - 1200) * SECOND))
        open_session = str(uuid.UUID(int=chance.getrandbits(128)))
        desk.tell("SessionStart", {"source": "startup"}, desk.clock.now_ns / SECOND, project, open_session)
        while desk.clock.now_ns / SECOND < end - 30:
            desk.clock.advance(120)
            yield from desk.lines()
        desk.core.store.close()
    yield "# EOF"
