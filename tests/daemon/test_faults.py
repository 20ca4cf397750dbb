"""Whatever dies, stalls or fills up: after recovery the totals at the receiver are those of an undisturbed run."""

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
    Totals,
    on_a_small_disk,
    settled_totals,
    steps_back,
    totals,
    wait_for_totals,
    wait_until,
)

pytestmark = pytest.mark.faults

FEW = ("basic-edit", "subagents", "tasks")
# Recorded with two copies of every hook, milliseconds apart: which of them counts is nobody's promise.
# And one whose session goes on in another project: here whole transcripts are there from the start, and their later lines would be
# read before the event that tells whose they are, which in life always comes first.
ALL = tuple(name for name in SCENARIOS if name not in ("plugin", "resume"))
# Seconds: longer than a daemon needs to take in a few events, follow their transcripts and export.
LONGEST_LIFE = 0.6
# Seconds: about what a hook takes.
LONGEST_HOOK = 0.006

# What the transcripts tell as well as the hooks. Files read and tasks are not among it: the transcript of a sub-agent holds no
# results of its tools.
IN_TRANSCRIPTS = frozenset(
    f"claude.{name}"
    for name in (
        "sessions", "prompts", "tokens.input", "tokens.output", "api.cost.usd", "api.requests", "tool.calls", "lines.added",
        "lines.deleted", "files.modified",
    )
)  # fmt: skip

Install = Callable[..., Installation]


@pytest.fixture
def install(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Install]:
    """Makes installations that export to the receiver over HTTP."""
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


class Undisturbed:
    """Recorded sessions and the totals of a run in which nothing went wrong."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.sessions = RecordedSessions(names, folder / "projects")
        with OtlpReceiver() as receiver:
            endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
            installation = Installation(folder, endpoint)
            try:
                for hook in self.sessions.hooks:
                    installation.run_hook(hook)
                installation.start()
                self.totals: Totals = settled_totals(receiver, installation)
            finally:
                installation.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Some dozen sessions, undisturbed."""
    return Undisturbed(tmp_path_factory.mktemp("few"), FEW)


def test_the_undisturbed_run_tells_something(few: Undisturbed) -> None:
    """The standard that the other tests hold their totals against is not empty."""
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


def _disturb(
    installation: Installation, sessions: RecordedSessions, dice: random.Random, daemon_kills: int, *, hooks_too: bool
) -> int:
    """Plays the sessions while the daemon, and the second copy of each hook, get SIGKILL; returns how many processes did."""
    killed = 0
    size = -(-len(sessions.hooks) // daemon_kills)
    for start in range(0, len(sessions.hooks), size):
        installation.start()
        for hook in sessions.hooks[start : start + size]:
            installation.run_hook(hook)
            if hooks_too:
                killed += installation.run_hook(hook, kill_after=dice.uniform(0, LONGEST_HOOK), via="plugin")
        time.sleep(dice.uniform(0, LONGEST_LIFE))
        installation.kill()
        killed += 1
    return killed


def test_the_daemon_dies_again_and_again(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """SIGKILL at random points, each followed by a restart: the same totals, and no series ever goes back."""
    installation = install()
    assert _disturb(installation, few.sessions, random.Random(7), 15, hooks_too=False) >= 15
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == few.totals
    assert list(steps_back(otlp_receiver)) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_kills_of_daemon_and_hooks(tmp_path: Path, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """All recorded sessions, every hook registered twice: the totals of a run without a single kill."""
    undisturbed = Undisturbed(tmp_path / "undisturbed", ALL)
    installation = install()
    killed = _disturb(installation, undisturbed.sessions, random.Random(11), 200, hooks_too=True)
    assert killed >= 300
    installation.start()
    wait_for_totals(otlp_receiver, undisturbed.totals, 60)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == undisturbed.totals
    assert list(steps_back(otlp_receiver)) == []


def test_two_copies_of_every_hook(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """Plugin and settings both registered: everything counts once."""
    installation = install()
    installation.start()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
        installation.run_hook(hook, via="plugin")
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == few.totals


def test_events_wait_while_no_daemon_runs(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """Hooks alone, without a daemon, for as long as it takes: one that comes later finds everything."""
    installation = install()
    for hook in reversed(few.sessions.hooks):
        installation.run_hook(hook)
    assert installation.waiting() == len(few.sessions.hooks)
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)


def test_eight_sessions_at_once(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """Eight clients whose hooks run at the same moments."""
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
def test_the_receiver_fails_from_the_start_and_comes_back(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, fault: Callable[[OtlpReceiver], None]
) -> None:
    """Unreachable, answering 500, or never answering: the intake goes on, and the first accepted export carries everything."""
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


def test_hooks_that_die_lose_nothing_the_transcript_knows(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    """Hooks get SIGKILL at random points, and nobody repeats them: tokens, dollars, requests, calls, lines are complete."""
    installation, dice = install(), random.Random(3)
    killed = 0
    for hook in few.sessions.hooks:
        spared = hook.event in ("SessionStart", "SessionEnd")
        killed += installation.run_hook(hook, kill_after=None if spared else dice.uniform(0, LONGEST_HOOK))
    assert killed > 0  # how many depends on the machine
    installation.start()
    wait_for_totals(otlp_receiver, _in_transcripts(few.totals), only=IN_TRANSCRIPTS)


def test_a_full_disk_loses_nothing_the_transcript_knows(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """Spool and store on a disk that fills up while sessions run: once there is room again, everything is made up for."""
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
        for hook in ends:  # without its end, a session counts as over after half an hour of silence
            installation.run_hook(hook)
        wait_for_totals(otlp_receiver, _in_transcripts(few.totals), 60, only=IN_TRANSCRIPTS)
        installation.close()

    try:
        on_a_small_disk(disk, body)
    except PermissionError as error:
        pytest.skip(f"no disk of its own: {error}")


def _by_phase(sessions: RecordedSessions) -> tuple[list[PlayedHook], list[PlayedHook], list[PlayedHook]]:
    """The starts of all sessions, everything between, and their ends."""
    phases: tuple[list[PlayedHook], list[PlayedHook], list[PlayedHook]] = ([], [], [])
    for hook in sessions.hooks:
        phases[{"SessionStart": 0, "SessionEnd": 2}.get(hook.event, 1)].append(hook)
    return phases


def _in_transcripts(found: Totals) -> Totals:
    return {key: value for key, value in found.items() if key[0] in IN_TRANSCRIPTS}


def _fill(path: Path) -> None:
    """Takes all the room that is left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
