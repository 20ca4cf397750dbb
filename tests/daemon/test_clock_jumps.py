"""A clock that jumps by a year, ahead or back, loses nothing and counts nothing twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Daemon, assemble_daemon, open_store
from claude_hooks_otel.daemon.steady_clock import SteadyClock
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import Config, OtelSettings
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.traces.model import TRACES
from claude_hooks_otel.units import DAY, HOUR, MINUTE, SECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.growing_transcripts import GrowingTranscripts
from tests.support.items import SPAN
from tests.support.known_differences import REGISTERED_TWICE
from tests.support.places import ROOT
from tests.support.real_daemon import wait_until
from tests.support.replay import Clock, Replay

YEAR = 365 * DAY
NOW = 1_780_000_000 * SECOND
# A duration that contains the jump is as long as the clock says.
DURATIONS = ("claude.active_time", ".duration")
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

_TIMESTAMP = re.compile(rb'"timestamp": ?"([0-9T:.-]+)Z"')


def _moved(line: bytes, jump_ns: int) -> bytes:
    def move(found: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(found[1].decode()) + timedelta(seconds=jump_ns // SECOND)
        return b'"timestamp":"%sZ"' % moment.isoformat(timespec="milliseconds").encode()

    return _TIMESTAMP.sub(move, line)


def _play(name: str, folder: Path, jump_ns: int) -> dict[str, Any]:
    """Play a scenario event by event. In its middle, the clock jumps for events, transcripts and the daemon."""
    replay = Replay(Scenario(name), folder, wanted={"traces": ["otlp"], "logs": ["otlp"]}, keeps_content=None)
    middle = replay.hooks[len(replay.hooks) // 2].t
    transcripts = GrowingTranscripts(replay.scenario, replay.projects)
    transcripts._left = [
        (at, path, _moved(line, jump_ns) if at > middle and path.suffix == ".jsonl" else line)
        for at, path, line in transcripts._left
    ]
    for hook in replay.hooks:
        transcripts.grow(hook.t)
        at = hook.t + (jump_ns // SECOND if hook.t > middle else 0)
        replay.clock.now_ns = round(at * SECOND)
        replay.spool([replace(hook, t=at)])
        while replay.core.intake.take_events():
            pass
        replay.core.intake.follow_sessions()
    transcripts.grow(float("inf"))
    for seconds in (*[1] * 10, 3600, 3600, 3600):
        replay.clock.advance(seconds)
        replay.core.intake.follow_sessions()
    items = replay.core.store.connection.execute("SELECT signal, COUNT(*) FROM outbox GROUP BY signal").fetchall()
    totals = {key: value for key, value in replay.totals().items() if not key[0].endswith(DURATIONS)}
    is_over = not replay.core.intake.has_live_sessions
    replay.core.store.close()
    return {"totals": totals, "items": dict(items), "is over": is_over}


KILLED_AGENTS = ("claude.subagents", (("agent_type", "general-purpose"), ("outcome", "killed")))
QUICK = ("basic-edit",)
# In "plugin", either copy of a hook may count.
SLOW = [name for name in SCENARIOS if name not in (*QUICK, REGISTERED_TWICE)]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
@pytest.mark.parametrize("jump_ns", [YEAR, -YEAR], ids=["ahead", "back"])
def test_a_jump_during_a_session_changes_no_total_but_its_durations(name: str, jump_ns: int, tmp_path: Path) -> None:
    wanted, found = _play(name, tmp_path / "without", 0), _play(name, tmp_path / "with", jump_ns)
    assert wanted["is over"]
    if jump_ns < 0 and name not in QUICK:
        # After a step back, the client's account cannot be compared with the requests (docs/reliability.md).
        for each in (wanted, found):
            each["totals"] = {
                key: value for key, value in each["totals"].items() if ("agent_type", "auxiliary") not in key[1]
            }
            each["totals"].pop(KILLED_AGENTS, None)  # a sub-agent that runs across the step counts as killed once more
            del each["items"]
    assert found == wanted


# -- what is too old -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def daemon(tmp_path: Path, clock: Clock) -> Iterator[Daemon]:
    """A daemon in whose store something waits."""
    settings = OtelSettings.from_variables(
        {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "100",
        }
    )
    made = assemble_daemon(Home(tmp_path / "home"), Config(), settings, clock)
    with made.core.store.transaction():
        made.core.outbox.put(TRACES, [SPAN])
    yield made
    made.close()


def _waits_after(daemon: Daemon, clock: Clock, advance_ns: int, steps: int = 1) -> bool:
    for _ in range(steps):
        clock.now_ns += advance_ns // steps
        daemon.deliveries._trim()
    return bool(daemon.core.store.connection.execute("SELECT COUNT(*) FROM outbox").fetchone()[0])


def test_waiting_items_do_not_expire_because_the_clock_jumps_ahead(daemon: Daemon, clock: Clock) -> None:
    assert _waits_after(daemon, clock, 0)
    assert _waits_after(daemon, clock, YEAR)
    assert _waits_after(daemon, clock, 23 * HOUR, steps=23)
    assert _waits_after(daemon, clock, -YEAR)
    assert _waits_after(daemon, clock, 3 * DAY, steps=10)


def test_waiting_items_expire_once_the_clock_has_gone_on_for_a_day(daemon: Daemon, clock: Clock) -> None:
    assert _waits_after(daemon, clock, YEAR)
    assert not _waits_after(daemon, clock, 25 * HOUR, steps=25)


def test_waiting_items_expire_in_time_with_a_steady_clock(daemon: Daemon, clock: Clock) -> None:
    assert _waits_after(daemon, clock, 6 * DAY, steps=6)
    assert not _waits_after(daemon, clock, 2 * DAY)


@pytest.mark.parametrize(
    ("advance_ns", "is_steady"),
    [
        (MINUTE, True),
        (29 * DAY, True),
        (31 * DAY, False),
        (YEAR, False),
        (-MINUTE, True),
        (-HOUR, False),
        (-YEAR, False),
    ],
)
def test_a_jump_between_two_daemons_is_noticed(tmp_path: Path, clock: Clock, advance_ns: int, is_steady: bool) -> None:
    store = open_store(tmp_path / "store.db", clock)
    assert SteadyClock(store).is_steady()
    clock.now_ns += advance_ns
    assert SteadyClock(store).is_steady() == is_steady
    assert SteadyClock(store).is_steady() == is_steady
    clock.now_ns += DAY
    assert SteadyClock(store).is_steady()


def test_after_a_wrong_clock_deleted_facts_the_last_day_counts_again(tmp_path: Path, clock: Clock) -> None:
    replay = Replay(Scenario("basic-edit"), tmp_path)
    now_ns = replay.clock.now_ns
    replay.core.store.forget(now_ns + YEAR)
    assert replay.core.facts.history_ns("unknown") <= now_ns
    replay.core.store.close()


# -- with the system's clock ---------------------------------------------------------------------------------------------


@pytest.mark.faults
@pytest.mark.skipif(not FAKETIME, reason="libfaketime is missing (Debian's package: libfaketime)")
def test_real_daemons_take_everything_in_while_the_clock_jumps(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    program = (
        "import os\n"
        "from claude_hooks_otel.daemon.flush_now import flush_now\n"
        "from claude_hooks_otel.home.paths import Home\n"
        "from claude_monitoring import AgentMonitor\n"
        "AgentMonitor('backend', 'shop').increment('api_calls')\n"
        "print(flush_now(Home.from_environment(), 30, {}))\n"
    )
    for shift in ("+0", "+365d", "+0", "-365d", "+0"):
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), HOME_VARIABLE: str(home.root)}
        environ |= {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": shift}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
    wait_until(lambda: not Spool(home.spool).depth())
    store = open_store(home.store, lambda: NOW)
    found = store.connection.execute("SELECT value FROM series WHERE metric = 'claude.api_calls'").fetchall()
    (scale,) = store.connection.execute("SELECT value FROM series WHERE metric = 'claude.hooks.events'").fetchone()
    store.close()
    assert (len(found), scale) == (1, 5)
