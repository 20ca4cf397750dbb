"""Whatever dies or fails: spans and log events arrive under the ids of an undisturbed run, and none is lost."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.cli.status import read_status
from claude_hooks_otel.store.connection import connect
from tests.support.corpus import SCENARIOS
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import Records, accepted
from tests.support.real_daemon import Installation, PlayedHook, RecordedSessions, wait_until

pytestmark = pytest.mark.faults

FEW = ("basic-edit", "subagents", "tasks")
# Two copies of every hook, milliseconds apart, and a session that goes on in another project: see test_faults.py.
ALL = tuple(name for name in SCENARIOS if name not in ("plugin", "resume"))
# Seconds: longer than a daemon needs to take in a few events, write their records and send them.
LONGEST_LIFE = 8.0

Install = Callable[..., Installation]


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def install(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Install]:
    """Makes installations that export to the receiver."""
    made: list[Installation] = []

    def make(protocol: str = "http/protobuf", **environ: str) -> Installation:
        made.append(Installation(tmp_path / f"installation-{len(made)}", _variables(otlp_receiver, protocol) | environ))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


def _variables(receiver: OtlpReceiver, protocol: str) -> dict[str, str]:
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}


def _endpoint(receiver: OtlpReceiver, protocol: str) -> Any:
    return receiver.grpc if protocol == "grpc" else receiver.http


def _count(installation: Installation, table: str) -> int:
    with contextlib.closing(connect(installation.home.store, readonly=True)) as connection:
        try:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
        except sqlite3.OperationalError:  # before the daemon's first transaction
            return -1


def _due(installation: Installation) -> int:
    """How many sessions that the daemon looks at have something to tell."""
    return _count(installation, "pending_session WHERE session_id IN (SELECT session_id FROM followed_session)")


def _failing_signals(installation: Installation) -> set[str]:
    return {exporter["signal"] for exporter in read_status(installation.home)["exporters"] if exporter["error"]}


def _all_is_told(installation: Installation) -> bool:
    return not installation.waiting() and not _due(installation) and not _count(installation, "outbox")


class Undisturbed:
    """Recorded sessions, and what the receiver accepted in a run in which nothing went wrong."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.sessions = RecordedSessions(names, folder / "projects")
        with OtlpReceiver() as receiver:
            installation = Installation(folder, _variables(receiver, "grpc"))
            try:
                for hook in self.sessions.hooks:
                    installation.run_hook(hook)
                installation.start()
                wait_until(lambda: _all_is_told(installation), 120)
                self.records: Records = accepted(receiver)
            finally:
                installation.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Some dozen sessions, undisturbed."""
    return Undisturbed(tmp_path_factory.mktemp("few"), FEW)


def test_the_undisturbed_run_tells_everything_once(few: Undisturbed) -> None:
    """The standard that the other tests hold their records against is not empty, and has no copies."""
    assert sum(name.startswith("span") for name in few.records) > 50
    assert sum(name.startswith("log") for name in few.records) > 50
    assert {len(copies) for copies in few.records.values()} == {1}


def _assert_same(found: Records, wanted: Records, most: int) -> None:
    """All that was wanted and nothing else, each at most so often and always alike."""
    assert found.keys() == wanted.keys()
    # The recording's host gave the pull requests of two sessions one address: they are one, of whichever comes first.
    differing = {
        name
        for name, copies in found.items()
        if set(copies) != set(wanted[name]) and b"claude.pull_request" not in copies[0]
    }
    assert differing == set()
    assert max(map(len, found.values())) <= most


def test_killed_between_export_and_acknowledgement(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, protocol: str
) -> None:
    """SIGKILL while the endpoint has taken a batch and not answered: it is sent once more, under the same ids."""
    installation, endpoint = install(protocol), _endpoint(otlp_receiver, protocol)
    for hooks in _portions(few.sessions, 3):
        for hook in hooks:
            installation.run_hook(hook)
        before = len(accepted(otlp_receiver))
        endpoint.hang(accepting=True)
        installation.start()
        wait_until(lambda before=before: len(accepted(otlp_receiver)) > before, 60)
        installation.kill()
        endpoint.answer_normally()
        installation.start()
        wait_until(lambda: not installation.waiting() and not _count(installation, "outbox"), 60)
        installation.kill()
    installation.start()
    wait_until(lambda: _all_is_told(installation), 60)
    found = accepted(otlp_receiver)
    _assert_same(found, few.records, most=2)
    assert sum(len(copies) == 2 for copies in found.values()) > 10


def test_the_daemon_dies_again_and_again(few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """SIGKILL at random points, each followed by a restart: the same spans and events."""
    installation, dice = install(), random.Random(7)
    _disturb(installation, few.sessions, dice, 8)
    wait_until(lambda: _all_is_told(installation), 60)
    _assert_same(accepted(otlp_receiver), few.records, most=3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills(tmp_path: Path, install: Install, otlp_receiver: OtlpReceiver) -> None:
    """All recorded sessions: the spans and events of a run without a single kill."""
    undisturbed = Undisturbed(tmp_path / "undisturbed", ALL)
    installation = install()
    _disturb(installation, undisturbed.sessions, random.Random(11), 50)
    wait_until(lambda: _all_is_told(installation), 120)
    _assert_same(accepted(otlp_receiver), undisturbed.records, most=3)


def _disturb(installation: Installation, sessions: RecordedSessions, dice: random.Random, kills: int) -> None:
    for hooks in _portions(sessions, kills):
        installation.start()
        for hook in hooks:
            installation.run_hook(hook)
        time.sleep(dice.uniform(0, LONGEST_LIFE))
        installation.kill()
    installation.start()


def _portions(sessions: RecordedSessions, number: int) -> Iterator[list[PlayedHook]]:
    """The events in about so many portions, each session's together: here its transcript is there as a whole from the start."""
    by_session: dict[str, list[PlayedHook]] = {}
    for hook in sessions.hooks:
        by_session.setdefault(hook.recorded.fields["session_id"], []).append(hook)
    size = -(-len(sessions.hooks) // number)
    portion: list[PlayedHook] = []
    for hooks in by_session.values():
        portion += hooks
        if len(portion) >= size:
            yield portion
            portion = []
    if portion:
        yield portion


def _away(endpoint: Any) -> None:
    endpoint.go_away()


def _failing(endpoint: Any) -> None:
    endpoint.fail_with(503, "out of order")


@pytest.mark.parametrize("fault", [_away, _failing])
def test_an_outage_from_the_start(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, fault: Callable[[Any], None]
) -> None:
    """Unreachable, or answering 503: everything waits, and arrives once."""
    installation = install(OTEL_EXPORTER_OTLP_TIMEOUT="500")
    fault(otlp_receiver.http)
    installation.start()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
    wait_until(lambda: not installation.waiting() and not _due(installation), 60)
    wait_until(lambda: _failing_signals(installation) == {"metrics", "traces", "logs"}, 60)
    assert read_status(installation.home)["waiting"].keys() == {"traces", "logs"}
    assert accepted(otlp_receiver) == {}
    if fault is _away:
        otlp_receiver.http.come_back()
    else:
        otlp_receiver.http.answer_normally()
    wait_until(lambda: _all_is_told(installation), 90)
    _assert_same(accepted(otlp_receiver), few.records, most=1)


def test_a_daemon_that_is_told_to_end_sends_what_is_written(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    """SIGTERM: what waits and can be sent is sent; the rest is sent by the next daemon."""
    installation = install()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
    installation.start()
    wait_until(lambda: _count(installation, "written_item") > 0, 60)
    installation.kill(signal.SIGTERM)
    assert _count(installation, "outbox") == 0
    installation.start()
    wait_until(lambda: _all_is_told(installation), 60)
    _assert_same(accepted(otlp_receiver), few.records, most=1)
