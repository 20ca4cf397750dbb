"""Plays recorded sessions into a core with a clock of its own: the events of the hooks, and the transcripts that they name."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import Registration, events_of
from claude_hooks_otel.units import SECOND
from tests.support.corpus import RecordedHook, Scenario, replay_payload

# The hooks' variables → their names in the envelope's header, as hooks/emit writes them.
HEADERS = {
    "CLAUDE_PROJECT_DIR": "project_directory",
    "CLAUDE_CODE_ENTRYPOINT": "entrypoint",
    "AI_AGENT": "client",
}


class Clock:
    """A clock that only tests advance."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)


class Replay:
    """A scenario, played into a home."""

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        *,
        agent: str = "backend",
        config: Config | None = None,
        leave_out: Iterable[str] = (),
        wanted: Mapping[str, Collection[str]] = MappingProxyType({}),
        keeps_content: bool | None = False,
        registration: Registration = Registration.FULL,
    ) -> None:
        self.registration = registration
        self.scenario, self.agent, self.wanted, self.keeps_content = scenario, agent, wanted, keeps_content
        self.config = config or Config()
        self.home = Home(folder / "home")
        self.projects = folder / "projects"
        self.hooks = [
            hook
            for hook in scenario.hooks
            if hook.event in events_of(registration)
            and not hook.fields["session_id"].startswith(tuple(leave_out) or "-")
        ]
        end = max((hook.t for hook in scenario.hooks), default=0.0)
        self.clock = Clock(round(end * SECOND) + SECOND)
        self.core = self._open()

    def _open(self) -> Core:
        return assemble_core(
            self.home, self.config, self.clock, wanted=self.wanted, history_ns=0, keeps_content=self.keeps_content
        )

    def restart(self) -> None:
        """Replace the core by a new one on the same home, as after a kill of the daemon."""
        self.core.store.close()
        self.core = self._open()

    def write_transcripts(self) -> None:
        """Write the transcripts to the paths that the hooks name."""
        self.scenario.write_transcripts(self.projects)

    def spool(self, hooks: Iterable[RecordedHook], copy: str = "") -> None:
        """Write events into the spool, with the recorded times of receipt."""
        for number, hook in enumerate(hooks):
            headers = {"agent": self.agent} | {HEADERS[key]: value for key, value in hook.env.items() if key in HEADERS}
            if self.registration is Registration.LIGHT:
                headers["registration"] = self.registration
            name = f"{hook.event}.{round(hook.t * 1e6)}.{number}{copy}"
            content = Envelope(name, 0, hook.event, headers, replay_payload(hook, self.projects)).encode()
            path = self.home.spool / "new" / name
            path.write_bytes(content)
            at = round(hook.t * SECOND)
            os.utime(path, ns=(at, at))

    def drain(self) -> None:
        """Take in all events and read all transcripts."""
        while self.core.intake.take_events():
            pass
        self.core.intake.follow_sessions(everything=True)

    def finish(self) -> None:
        """Drain, and let so much time pass that every session is over and everything is written."""
        self.drain()
        for _ in range(3):
            self.clock.advance(3600)
            self.core.intake.follow_sessions(everything=True)

    def totals(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], Any]:
        """Return (OTLP name, labels without agent and project) → value in stored units; for a histogram (sum, counts)."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
        for point in self.core.totals.points():
            key = (point.metric.name, tuple(pair for pair in point.labels if pair[0] not in ("agent", "project")))
            if point.metric.kind is Kind.HISTOGRAM:
                value, counts = found.get(key, (0, (0,) * len(point.bucket_counts)))
                found[key] = (
                    value + point.value,
                    tuple(a + b for a, b in zip(counts, point.bucket_counts, strict=True)),
                )
            else:
                found[key] = found.get(key, 0) + point.value
        return found


def play(
    scenario: Scenario,
    folder: Path,
    *,
    seed: int | None = None,
    twice: bool = False,
    restarts: int = 0,
    leave_out: Iterable[str] = (),
    wanted: Mapping[str, Collection[str]] = MappingProxyType({}),
    registration: Registration = Registration.FULL,
) -> Replay:
    """Play a whole scenario to its end.

    Args:
        scenario: the scenario.
        folder: the folder of the home and the transcripts.
        seed: shuffles the events. With None they come in order.
        twice: whether each event has a copy.
        restarts: how often the core is replaced by a new one.
        leave_out: beginnings of the ids of sessions that are left out.
        wanted: signal → the exporters for which spans and log events are written.
        registration: which of the recorded events arrive.
    """
    replay = Replay(scenario, folder, leave_out=leave_out, wanted=wanted, registration=registration)
    hooks = list(replay.hooks)
    if seed is not None:
        random.Random(seed).shuffle(hooks)
    replay.write_transcripts()
    parts = restarts + 1
    for part in range(parts):
        replay.spool(hooks[part::parts])
        if twice:
            replay.spool(hooks[part::parts], copy="-again")
        replay.drain()
        if part + 1 < parts:
            replay.restart()
    replay.finish()
    return replay


def adopt_transcripts(replay: Replay) -> None:
    """Add the sessions of all transcripts to the store, as if every event of a hook had been lost."""
    core = replay.core
    identity = Identity(agent=replay.agent, project="project")
    left_out = {hook.fields["session_id"] for hook in replay.scenario.hooks} - {
        hook.fields["session_id"] for hook in replay.hooks
    }
    with core.store.transaction():
        for name in sorted(replay.scenario.transcript_names):
            path = replay.projects / name
            if path.parent.parent == replay.projects and path.stem not in left_out:
                at = replay.clock.now_ns
                core.facts.upsert(
                    model.Session(
                        session_id=path.stem,
                        transcript_path=str(path),
                        first_seen_ns=at,
                        last_seen_ns=at,
                        **identity.columns(),
                    )
                )
                core.facts.identities.note(path.stem, 0, identity)
                core.store.connection.execute("INSERT INTO followed_session VALUES (?)", (path.stem,))
    replay.restart()
