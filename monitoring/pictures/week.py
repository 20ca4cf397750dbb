"""Simulate a week of a small team, for pictures: made-up sessions, and the product's own figures for them.

The sessions are in the client's formats. Every figure is what the product computes from them, sampled as a scrape would sample it. The
samples go into a real Prometheus as blocks.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.delivery.snapshots import Snapshots
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.settings import Config, IdentityConfig, LabelsConfig
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import SECOND
from monitoring.pictures.sessions import CWD, Moment, Reviews, Session, Worker, encode
from tests.support.replay import Clock

DAYS = 7
# The end of the week: a Friday afternoon.
END = datetime(2026, 11, 27, 15, tzinfo=UTC)
# Seconds between samples. A bar in a picture is much wider.
EVERY = 300
# Seconds after its last event in which a daemon goes on sending.
SENDS_FOR = 900
_CODE = {"Read": 6, "Grep": 3, "Edit": 5, "Bash": 3, "Write": 1, "Agent": 0.5, "Skill": 0.2}
_OPUS, _SONNET, _HAIKU = "claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-4-5"
# Each agent, and how many sessions it has on a working day.
TEAM = (
    (Worker("backend", "storefront", _OPUS, (2, 6), (5, 14), _CODE, 0.82), 6),
    (Worker("frontend", "storefront", _SONNET, (2, 5), (4, 12), _CODE | {"mcp__linear__get_issue": 1}, 0.74, "npx jest"), 5),
    (Worker("data", "warehouse", _SONNET, (1, 4), (6, 16), _CODE, 0.88, asks=0.12), 4),
    (Worker("docs", "handbook", _HAIKU, (1, 3), (3, 9), {"Read": 6, "Grep": 2, "Write": 3, "Skill": 1}), 3),
    (
        Worker(
            "reviewer", "storefront", _OPUS, (1, 1), (6, 14), {"Read": 8, "Grep": 4, "Agent": 2, "Bash": 1},
            waits=(0, 0), asks=0, entrypoint="sdk-cli",
        ),
        8,
    ),
)  # fmt: skip


# Agent → team, user and machine.
_WHO = {
    "backend": ("shop", "ann", "desk-1"),
    "frontend": ("shop", "bea", "desk-2"),
    "data": ("logistics", "cem", "desk-3"),
    "docs": ("logistics", "cem", "desk-3"),
    "reviewer": ("shop", "ann", "build-1"),
}


class Desk:
    """One agent's machine."""

    def __init__(self, folder: Path, worker: Worker, begin: float) -> None:
        self.folder, self.worker = folder, worker
        self.home = Home(folder / "home")
        self.clock = Clock(round(begin * SECOND))
        team, user, machine = _WHO[worker.name]
        config = Config(
            labels=LabelsConfig(metrics=("user", "machine")),
            identity=IdentityConfig(team=team, user=user, machine=machine),
        )
        self.core = assemble_core(self.home, config, self.clock, history_ns=0)
        scores = Scores(self.core.facts, config.scores)
        self._snapshots = Snapshots(
            self.core.facts, self.core.totals, self.core.exemplars, scores, self.core.spool.depth
        )
        self._events = 0

    def take(self, moment: Moment, content: bytes) -> None:
        """Write a line into its transcript, or take in an event."""
        if not moment.event:
            moment.transcript.parent.mkdir(parents=True, exist_ok=True)
            with moment.transcript.open("ab") as file:
                file.write(content + b"\n")
            return
        self._events += 1
        headers = {"agent": self.worker.name, "project": self.worker.project, "project_directory": CWD}
        headers |= {"entrypoint": self.worker.entrypoint, "client": "claude-code_2-1-330_agent"}
        path = self.home.spool / "new" / f"{moment.event}.{self._events}"
        path.write_bytes(Envelope(path.name, 0, moment.event, headers, content).encode())
        os.utime(path, ns=(round(moment.at * SECOND),) * 2)
        self.advance(moment.at)
        while self.core.intake.take_events():
            pass

    def advance(self, at: float) -> None:
        """Set the clock to a later time."""
        self.clock.now_ns = max(self.clock.now_ns, round(at * SECOND))

    def lines(self, at: float) -> Iterator[str]:
        """Yield every series as it stands at a time, in OpenMetrics text."""
        self.advance(at)
        self.core.intake.follow_sessions(everything=True)
        for point in self._snapshots.take(recompute=True).points:
            yield from _lines(point, f"{self.worker.name}-desk", self.clock.now_ns / SECOND)


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


def _starts(worker: Worker, sessions: int, chance: random.Random) -> Iterator[float]:
    """Yield the times at which sessions begin: on working days between 8 and 17 o'clock, now and then on a Saturday."""
    first = (END - timedelta(days=DAYS)).replace(hour=0)
    for day in (first + timedelta(days=number) for number in range(DAYS + 1)):
        weekend = day.weekday() >= 5
        count = max(1, round(sessions * chance.uniform(0.7, 1.2))) if not weekend else int(chance.random() < 0.15)
        for moment in sorted(chance.uniform(8, 16.6) for _ in range(count)):
            yield day.timestamp() + 3600 * moment
        if worker.entrypoint != "cli":  # a nightly run
            yield day.timestamp() + 3600 * 26


def _moments(worker: Worker, folder: Path, sessions: int, chance: random.Random) -> Iterator[tuple[Moment, bytes]]:
    """Yield everything that happens in one agent's week. A person opens one session after the other."""
    begin, end = (END - timedelta(days=DAYS)).timestamp(), END.timestamp()
    reviews, free = Reviews(), begin
    for start in _starts(worker, sessions, chance):
        if start < free:
            continue
        played = Session(worker, folder / "projects", start, chance, reviews).play()
        free = played[-1].at + chance.uniform(60, 900)
        yield from ((moment, content) for moment, content in encode(played) if moment.at < end)
    # At the end of the week, some are at work.
    if worker.name in {"backend", "frontend", "data"} and free < end:
        start = max(free, end - chance.uniform(600, 2400))
        busy = replace(worker, turns=(6, 8))
        played = Session(busy, folder / "projects", start, chance, reviews).play()
        yield from ((moment, content) for moment, content in encode(played) if moment.at < end)


def samples(folder: Path) -> Iterator[str]:
    """Yield the whole week as lines of OpenMetrics text."""
    chance = random.Random(20261127)
    begin = (END - timedelta(days=DAYS)).timestamp()
    for worker, sessions in TEAM:
        desk = Desk(folder / worker.name, worker, begin)
        next_sample, newest = begin, begin
        for moment, content in _moments(worker, desk.folder, sessions, chance):
            while next_sample < moment.at:
                if begin < newest and next_sample < newest + SENDS_FOR:
                    yield from desk.lines(next_sample)
                next_sample += EVERY
            desk.take(moment, content)
            newest = moment.at
        while next_sample <= END.timestamp():
            if next_sample < newest + SENDS_FOR:
                yield from desk.lines(next_sample)
            next_sample += EVERY
        desk.core.store.close()
    yield "# EOF"
