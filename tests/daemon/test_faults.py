"""After kills, outages and a full disk, the totals at the receiver are those of a run without faults."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from claude_hooks_otel.cli.status import read_status
from tests.support.corpus import SCENARIOS
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import (
    Installation,
    PlayedHook,
    RecordedSessions,
    on_a_small_disk,
    steps_back,
    totals,
    wait_for_totals,
    wait_until,
)
from tests.support.undisturbed import FEW, IN_TRANSCRIPTS, Undisturbed, in_transcripts

pytestmark = pytest.mark.faults

# Two scenarios are left out. In "plugin" every hook has two copies, milliseconds apart, and either of them may count. In "resume" a
# session moves to another project. Here its whole transcript exists from the start, so the daemon could read the later lines before
# the event that names the new project. With a real client that event always comes first.
ALL = tuple(name for name in SCENARIOS if name not in ("plugin", "resume"))
# Seconds. A daemon usually needs less to take in a few events, follow their transcripts and export.
LONGEST_DAEMON = 0.6
# Seconds. A hook usually needs less.
LONGEST_HOOK = 0.006

Install = Callable[..., Installation]


@pytest.fixture
def install(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Install]:
    """Return a function that makes installations that export to the receiver over HTTP."""
    made: list[Installation] = []

    def make(folder: Path | None = None, **environ: str) -> Installation:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        } | environ
        made.append(Installation(folder or tmp_path / f"installation-{len(made)}", environ))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run of some dozen sessions."""
    return Undisturbed(tmp_path_factory.mktemp("few"), FEW)


def test_the_run_without_faults_has_totals(few: Undisturbed) -> None:
    """The other tests compare their totals with these."""
    names = {name for name, _ in few.totals}
    assert {
        "claude.sessions",
        "claude.tokens.input",
        "claude.api.cost.usd",
        "claude.tool.calls",
        "claude.subagents",
    } <= names
    assert few.totals["claude.hooks.events", frozenset({("event", "SessionStart")})] == sum(
        hook.event == "SessionStart" for hook in few.sessions.hooks
    )


def _play_with_kills(
    installation: Installation, sessions: RecordedSessions, dice: random.Random, daemon_kills: int, *, hooks_too: bool
) -> None:
    """Play the sessions. The daemon gets SIGKILL at random moments, and with ``hooks_too`` a second copy of each hook does.

    Every second copy still reads its payload when it is killed. The others may have ended.
    """
    size = -(-len(sessions.hooks) // daemon_kills)
    for start in range(0, len(sessions.hooks), size):
        installation.start()
        for number, hook in enumerate(sessions.hooks[start : start + size]):
            installation.run_hook(hook)
            if hooks_too:
                moment = dice.uniform(0, LONGEST_HOOK)
                installation.run_hook(hook, kill_after=moment, via="plugin", while_reading=bool(number % 2))
        time.sleep(dice.uniform(0, LONGEST_DAEMON))
        installation.kill()


def test_kills_of_the_daemon_change_no_total(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """The daemon starts again after each SIGKILL. No series goes back in between."""
    installation = install()
    _play_with_kills(installation, few.sessions, random.Random(7), 15, hooks_too=False)
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == few.totals
    assert list(steps_back(otlp_receiver)) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_kills_of_the_daemon_and_kills_of_hooks_change_no_total(
    tmp_path: Path, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    """All recorded sessions, with every hook registered twice."""
    undisturbed = Undisturbed(tmp_path / "undisturbed", ALL)
    installation = install()
    _play_with_kills(installation, undisturbed.sessions, random.Random(11), 200, hooks_too=True)
    installation.start()
    wait_for_totals(otlp_receiver, undisturbed.totals, 60)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == undisturbed.totals
    assert list(steps_back(otlp_receiver)) == []


def test_two_copies_of_every_hook_count_once(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """The plugin and the settings both register the hooks."""
    installation = install()
    installation.start()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
        installation.run_hook(hook, via="plugin")
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == few.totals


def test_events_wait_for_a_daemon_that_starts_later(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    installation = install()
    for hook in reversed(few.sessions.hooks):
        installation.run_hook(hook)
    assert installation.waiting() == len(few.sessions.hooks)
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)


def test_hooks_of_eight_sessions_at_once_lose_no_event(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    installation = install()
    installation.start()
    sessions: dict[str, list[PlayedHook]] = {}
    for hook in few.sessions.hooks:
        sessions.setdefault(hook.recorded.fields["session_id"], []).append(hook)
    assert len(sessions) >= 8
    with ThreadPoolExecutor(8) as clients:
        for hooks in sessions.values():
            clients.submit(lambda hooks=hooks: [installation.run_hook(hook) for hook in hooks])
    wait_for_totals(otlp_receiver, few.totals)


def _away(receiver: OtlpReceiver) -> None:
    receiver.http.go_away()


def _failing(receiver: OtlpReceiver) -> None:
    receiver.http.fail_with(500, "out of order")


def _hanging(receiver: OtlpReceiver) -> None:
    receiver.http.hang()


@pytest.mark.parametrize("fault", [_away, _failing, _hanging])
def test_after_an_outage_the_receiver_gets_every_total(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, fault: Callable[[OtlpReceiver], None]
) -> None:
    """The receiver is unreachable, answers 500, or never answers. The daemon takes events in meanwhile."""
    installation = install(OTEL_EXPORTER_OTLP_TIMEOUT="500")
    fault(otlp_receiver)
    installation.start()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
    wait_until(lambda: not installation.waiting())
    wait_until(lambda: any(exporter["error"] for exporter in read_status(installation.home)["exporters"]))
    assert otlp_receiver.metrics == []
    if fault is _away:
        otlp_receiver.http.come_back()
    else:
        otlp_receiver.http.answer_normally()
    wait_for_totals(otlp_receiver, few.totals, 60)
    assert list(steps_back(otlp_receiver)) == []


def test_transcripts_make_up_for_killed_hooks(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """Tokens, dollars, requests, calls and lines are complete. The hooks get SIGKILL at random moments and are not repeated."""
    installation, dice = install(), random.Random(3)
    for number, hook in enumerate(few.sessions.hooks):
        if hook.event in ("SessionStart", "SessionEnd"):
            installation.run_hook(hook)
        else:
            moment = dice.uniform(0, LONGEST_HOOK)
            installation.run_hook(hook, kill_after=moment, while_reading=bool(number % 2))
    installation.start()
    wait_for_totals(otlp_receiver, in_transcripts(few.totals), only=IN_TRANSCRIPTS)


def test_transcripts_make_up_for_a_full_disk(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """Spool and store are on a disk that is full while sessions run, and later has room again."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def body() -> None:
        installation = install(folder=disk)
        installation.start()
        starts, others, ends = _by_phase(few.sessions)
        for hook in starts:
            installation.run_hook(hook)
        wait_until(lambda: not installation.waiting())
        ballast = disk / "ballast"
        _fill(ballast)
        for hook in others:
            installation.run_hook(hook)
        assert any(not path.stat().st_size for path in (installation.home.spool / "new").iterdir())
        ballast.unlink()
        for hook in ends:  # without this event, a session is over only after half an hour of silence
            installation.run_hook(hook)
        wait_for_totals(otlp_receiver, in_transcripts(few.totals), 60, only=IN_TRANSCRIPTS)
        installation.close()

    try:
        on_a_small_disk(disk, body)
    except PermissionError as error:
        pytest.skip(f"this machine allows no disk of its own: {error}")


def _by_phase(sessions: RecordedSessions) -> tuple[list[PlayedHook], list[PlayedHook], list[PlayedHook]]:
    """Return the starts of all sessions, the events in between, and the ends."""
    phases: tuple[list[PlayedHook], list[PlayedHook], list[PlayedHook]] = ([], [], [])
    for hook in sessions.hooks:
        phases[{"SessionStart": 0, "SessionEnd": 2}.get(hook.event, 1)].append(hook)
    return phases


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
