"""After SIGKILL at random points of daemon, hooks and programs, every exporter has what it has after a run without kills."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tomli_w
from prometheus_client.parser import text_string_to_metric_families

from claude_hooks_otel.cli.status import read_status
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.metrics.definition import Kind
from tests.support.corpus import SCENARIOS
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import Records, accepted
from tests.support.places import ROOT
from tests.support.real_daemon import (
    COUNTS_OF_FAULTS,
    Installation,
    PlayedHook,
    RecordedSessions,
    Totals,
    steps_back,
    totals,
    wait_until,
)

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# How often something is killed. With 500, the test takes four to seven minutes (docs/reliability.md has the figures).
KILLS = int(os.environ.get("KILLS", "500"))
# tests/daemon/test_faults.py says why two scenarios are left out.
ALL = tuple(name for name in SCENARIOS if name not in ("plugin", "resume"))
# Of the kills, those of hooks and of programs; the others hit the daemon.
HOOKS, PROGRAMS = 0.4, 0.1
# Of the daemon's kills, those in the middle of a session. They come at once: after a second of silence a session is paired, and here, the
# transcript has already what the hooks of a real client report first. The others come between two sessions.
AMID = 0.4
# Of those between two sessions, the kills after a longer life. The daemon writes spans and log events after five seconds of silence.
LONG_LIVES = 0.3
# Seconds that a hook, a program and a daemon live at most.
HOOK, PROGRAM, DAEMON_AMID, DAEMON, LONG_DAEMON = 0.006, 0.4, 0.05, 0.4, 8.0

# Metrics that count the programs' calls, and the events themselves, differ from the run without programs.
PROGRAM_AGENT = "program"
COUNTING = """
import sys
from claude_monitoring import AgentMonitor
monitor = AgentMonitor(agent_id="program", project_name="kills")
while True:
    print("begin", flush=True)
    monitor.increment("api_calls")
    print("end", flush=True)
"""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Everything:
    """An installation with every exporter."""

    folder: Path
    receiver: OtlpReceiver
    conninfo: str
    schema: str
    installation: Installation = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.folder / "lines.jsonl"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.installation = Installation(
            self.folder,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.http_endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "PYTHONPATH": str(ROOT),
            },
        )
        exporters = {
            "postgresql": {"conninfo": self.conninfo, "schema": self.schema},
            "json_lines": {"path": str(self.lines)},
            "prometheus": {"port": self.port},
        }
        self.installation.home.config.write_text(tomli_w.dumps({"exporters": exporters}))

    def is_complete(self) -> bool:
        """Return whether every exporter has everything."""
        it = self.installation
        pending = it.count("pending_session WHERE session_id IN (SELECT session_id FROM followed_session)")
        return not (it.waiting() or it.count("followed_session") or pending or it.count("outbox")) and all(
            state["waiting"] == 0 for state in read_status(it.home)["custom_exporters"]
        )

    def on_the_page(self) -> Series:
        """Return the counters of the Prometheus page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.type == "counter" and sample.name.endswith("_total")
        }

    def in_postgresql(self) -> Series:
        """Return the sums of the rows of counters. A key that is there twice is an error of the table's primary key."""
        query = f"SELECT name, labels, SUM(value) FROM {self.schema}.measurement WHERE kind = 'counter' GROUP BY 1, 2"
        with psycopg.connect(self.conninfo) as connection:
            return {(name, frozenset(labels.items())): value for name, labels, value in connection.execute(query)}

    def in_json_lines(self) -> Series:
        """Return the sums of the counters in the file. Lines may be there twice, with the same key and content."""
        by_key: dict[str, dict[str, Any]] = {}
        for line in self.lines.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # half a line of a killed daemon
            assert by_key.setdefault(row["key"], row) == row
        found: Series = defaultdict(float)
        for row in by_key.values():
            if row["kind"] == "counter":
                found[row["name"], frozenset(row["labels"].items())] += row["value"]
        return dict(found)


@pytest.fixture
def everything(tmp_path: Path, database: str) -> Iterator[Any]:
    """Return a function that makes installations with every exporter."""
    made: list[Everything] = []

    def make(name: str, receiver: OtlpReceiver) -> Everything:
        (tmp_path / name).mkdir()
        made.append(Everything(tmp_path / name, receiver, database, name))
        return made[-1]

    yield make
    for one in made:
        one.installation.close()


class Program:
    """A program that counts its calls until it is killed."""

    def __init__(self, home: Path) -> None:
        environ = {"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(home)}
        command = [sys.executable, "-c", COUNTING]
        self._process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._first = self._process.stdout.readline()

    def kill(self) -> tuple[int, int]:
        """Kill it. Return how many calls ended, and how many began."""
        self._process.send_signal(signal.SIGKILL)
        text = self._first + self._process.communicate()[0]
        return text.count("end\n"), text.count("begin\n")


@dataclass
class Killer:
    """Plays sessions, and kills."""

    target: Everything
    dice: random.Random
    kills: int
    done: dict[str, int] = field(default_factory=lambda: {"daemon": 0, "hook": 0, "program": 0})
    ended: int = 0
    begun: int = 0

    def play(self, hooks: list[PlayedHook]) -> None:
        """Play all events, with the kills spread over them."""
        dice = self.dice
        ends = [
            place
            for place, (hook, after) in enumerate(pairwise([*hooks, None]))
            if after is None or _id(hook) != _id(after)
        ]
        hooked, programs = round(self.kills * HOOKS), round(self.kills * PROGRAMS)
        amid = round((self.kills - hooked - programs) * AMID)
        plan = {
            self._kill_a_copy: Counter(dice.choices(range(len(hooks)), k=hooked)),
            self._kill_a_program: Counter(dice.choices(ends, k=programs)),
            self._kill_amid: Counter(dice.choices(range(len(hooks)), k=amid)),
            self._kill_between: Counter(dice.choices(ends, k=self.kills - hooked - programs - amid)),
        }
        self.target.installation.start()
        for place, hook in enumerate(hooks):
            self.target.installation.run_hook(hook)
            for kill, at in plan.items():
                for _ in range(at[place]):
                    kill(hook)

    def _kill_amid(self, _: PlayedHook) -> None:
        self._kill_the_daemon(DAEMON_AMID)

    def _kill_between(self, _: PlayedHook) -> None:
        self._kill_the_daemon(LONG_DAEMON if self.dice.random() < LONG_LIVES else DAEMON)

    def _kill_the_daemon(self, longest: float) -> None:
        time.sleep(self.dice.uniform(0, longest))
        self.target.installation.kill()
        self.done["daemon"] += 1
        self.target.installation.start()

    def _kill_a_copy(self, hook: PlayedHook) -> None:
        moment = self.dice.uniform(0, HOOK)
        self.target.installation.run_hook(hook, kill_after=moment, via="plugin", while_reading=True)
        self.done["hook"] += 1

    def _kill_a_program(self, _: PlayedHook) -> None:
        program = Program(self.target.installation.home.root)
        time.sleep(self.dice.uniform(0, PROGRAM))
        ended, begun = program.kill()
        self.ended += ended
        self.begun += begun
        self.done["program"] += 1


def _id(hook: PlayedHook) -> str:
    return str(hook.recorded.fields["session_id"])


def _by_session(sessions: RecordedSessions) -> list[PlayedHook]:
    """Return the events, one session after the other: a session's transcript is there as a whole from its first event on."""
    by_session: dict[str, list[PlayedHook]] = {}
    for hook in sessions.hooks:
        by_session.setdefault(_id(hook), []).append(hook)
    return [hook for hooks in by_session.values() for hook in hooks]


def _of_sessions(found: Totals) -> Totals:
    """Return the totals without those of the programs."""
    return {
        key: value
        for key, value in found.items()
        if ("agent", PROGRAM_AGENT) not in key[1] and not key[1] & {("event", "sdk.measurement"), ("event", "sdk.add")}
    }


def _counters(receiver: OtlpReceiver) -> Series:
    """Return the receiver's counters by their Prometheus names."""
    counters = {point.name for point in receiver.metrics if point.kind == "sum"}
    return {
        (CATALOG[name].prometheus_name if name in CATALOG else f"{name.replace('.', '_')}_total", labels): float(value)
        for (name, labels), value in receiver.latest_totals().items()
        if name in counters and (name not in CATALOG or CATALOG[name].kind is Kind.COUNTER)
    }


def _comparable(found: Series) -> dict[Any, Any]:
    left_out = {CATALOG[name].prometheus_name for name in COUNTS_OF_FAULTS}
    return {
        (name, frozenset((key.replace(".", "_"), value) for key, value in labels if value)): pytest.approx(value)
        for (name, labels), value in found.items()
        if name not in left_out
    }


def _assert_same_items(found: Records, wanted: Records) -> int:
    """Check that each item is there, once or the same again. Return how many were sent again."""
    assert found.keys() == wanted.keys()
    # Pull requests of two recorded sessions have the same address. They count as one, of the session that comes first.
    differing = [
        name
        for name, copies in found.items()
        if set(copies) != set(wanted[name]) and b"claude.pull_request" not in copies[0]
    ]
    assert differing == []
    return sum(len(copies) - 1 for copies in found.values())


@pytest.mark.timeout(3600)
def test_kills_of_daemon_hooks_and_programs_change_nothing_at_any_exporter(tmp_path: Path, everything: Any) -> None:
    sessions = RecordedSessions(ALL, tmp_path / "projects")
    hooks = _by_session(sessions)
    with OtlpReceiver() as receiver:
        undisturbed = everything("undisturbed", receiver)
        for hook in hooks:
            undisturbed.installation.run_hook(hook)
        undisturbed.installation.start()
        wait_until(undisturbed.is_complete, 600)
        undisturbed.installation.kill(signal.SIGTERM)
        wanted, wanted_items = totals(receiver), accepted(receiver)
    assert {len(copies) for copies in wanted_items.values()} == {1}

    with OtlpReceiver() as receiver:
        target = everything("killed", receiver)
        killer = Killer(target, random.Random(13), KILLS)
        killer.play(hooks)
        wait_until(target.is_complete, 600)
        page = target.on_the_page()
        target.installation.kill(signal.SIGTERM)
        found = totals(receiver)
        assert _of_sessions(found) == wanted
        assert list(steps_back(receiver)) == []
        again = _assert_same_items(accepted(receiver), wanted_items)
        print(f"kills: {killer.done}; {len(wanted_items):,} items, {again} sent again under their ids")  # with -rP
        calls = sum(value for (_, labels), value in found.items() if ("agent", PROGRAM_AGENT) in labels)
        assert killer.ended <= calls <= killer.begun
        counters = _comparable(_counters(receiver))
        assert _comparable(page) == counters
        assert _comparable(target.in_postgresql()) == counters
        assert _comparable(target.in_json_lines()) == counters
