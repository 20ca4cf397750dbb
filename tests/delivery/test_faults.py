"""After kills and outages, spans and log events have the ids of a run without faults, and none is lost."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.cli.status import read_status
from claude_hooks_otel.daemon.assembly import assemble_daemon
from claude_hooks_otel.home.flush_requests import request_flush
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.settings import Config, OtelSettings, OutboxConfig
from claude_hooks_otel.traces.model import TRACES
from claude_hooks_otel.units import SECOND
from tests.support.corpus import SCENARIOS
from tests.support.items import SPAN
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import Records, accepted, spans
from tests.support.real_daemon import Installation, PlayedHook, RecordedSessions, wait_until
from tests.support.replay import Clock

pytestmark = pytest.mark.faults

FEW = ("basic-edit", "subagents", "tasks")
# tests/daemon/test_faults.py says why two scenarios are left out.
ALL = tuple(name for name in SCENARIOS if name not in ("plugin", "resume"))
# Seconds. A daemon usually needs less to take in a few events, write their spans and log events, and send them.
LONGEST_DAEMON = 8.0

Install = Callable[..., Installation]


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def install(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Install]:
    """Return a function that makes installations that export to the receiver."""
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


def _pending(installation: Installation) -> int:
    """Return how many followed sessions have something to write."""
    return installation.count("pending_session WHERE session_id IN (SELECT session_id FROM followed_session)")


def _failing_signals(installation: Installation) -> set[str]:
    return {exporter["signal"] for exporter in read_status(installation.home)["exporters"] if exporter["error"]}


def _everything_is_sent(installation: Installation) -> bool:
    return not installation.waiting() and not _pending(installation) and not installation.count("outbox")


class Undisturbed:
    """Recorded sessions, and what the receiver accepted in a run without faults."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.sessions = RecordedSessions(names, folder / "projects")
        with OtlpReceiver() as receiver:
            installation = Installation(folder, _variables(receiver, "grpc"))
            try:
                for hook in self.sessions.hooks:
                    installation.run_hook(hook)
                installation.start()
                wait_until(lambda: _everything_is_sent(installation), 120)
                self.records: Records = accepted(receiver)
            finally:
                installation.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run of some dozen sessions."""
    return Undisturbed(tmp_path_factory.mktemp("few"), FEW)


def test_the_run_without_faults_sends_everything_once(few: Undisturbed) -> None:
    """The other tests compare what they receive with this run."""
    assert sum(name.startswith("span") for name in few.records) > 50
    assert sum(name.startswith("log") for name in few.records) > 50
    assert {len(copies) for copies in few.records.values()} == {1}


def _assert_same(found: Records, wanted: Records, most: int) -> None:
    """Check that everything expected is there and nothing else, at most ``most`` times each, and the same each time.

    A kill can cause one more copy of an item, so ``most`` is the number of kills plus one.
    """
    assert found.keys() == wanted.keys()
    # Pull requests of two recorded sessions have the same address. They count as one, of the session that comes first.
    differing = {
        name
        for name, copies in found.items()
        if set(copies) != set(wanted[name]) and b"claude.pull_request" not in copies[0]
    }
    assert differing == set()
    assert max(map(len, found.values())) <= most


def test_a_batch_without_an_answer_is_sent_again_with_the_same_ids(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, protocol: str
) -> None:
    """The daemon gets SIGKILL after the endpoint has taken a batch and before it answers."""
    installation, endpoint = install(protocol), _endpoint(otlp_receiver, protocol)
    unanswered = set()
    for hooks in _portions(few.sessions, 3):
        for hook in hooks:
            installation.run_hook(hook)
        before = accepted(otlp_receiver).keys()
        endpoint.hang(accepting=True)
        installation.start()
        wait_until(lambda before=before: accepted(otlp_receiver).keys() - before, 60)
        unanswered |= accepted(otlp_receiver).keys() - before
        installation.kill()
        endpoint.answer_normally()
        installation.start()
        wait_until(lambda: not installation.waiting() and not installation.count("outbox"), 60)
        installation.kill()
    installation.start()
    wait_until(lambda: _everything_is_sent(installation), 60)
    found = accepted(otlp_receiver)
    _assert_same(found, few.records, most=2)
    assert {name for name, copies in found.items() if len(copies) == 2} >= unanswered


def test_kills_of_the_daemon_lose_no_span_and_no_log_event(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    """The daemon starts again after each SIGKILL."""
    installation, dice = install(), random.Random(7)
    _play_with_kills(installation, few.sessions, dice, 8)
    wait_until(lambda: _everything_is_sent(installation), 60)
    _assert_same(accepted(otlp_receiver), few.records, most=9)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills_lose_no_span_and_no_log_event_of_all_recorded_sessions(
    tmp_path: Path, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    undisturbed = Undisturbed(tmp_path / "undisturbed", ALL)
    installation = install()
    _play_with_kills(installation, undisturbed.sessions, random.Random(11), 50)
    wait_until(lambda: _everything_is_sent(installation), 120)
    _assert_same(accepted(otlp_receiver), undisturbed.records, most=51)


def _play_with_kills(installation: Installation, sessions: RecordedSessions, dice: random.Random, kills: int) -> None:
    """Play the sessions. The daemon gets SIGKILL at random moments and starts again each time."""
    for hooks in _portions(sessions, kills):
        installation.start()
        for hook in hooks:
            installation.run_hook(hook)
        time.sleep(dice.uniform(0, LONGEST_DAEMON))
        installation.kill()
    installation.start()


def _portions(sessions: RecordedSessions, number: int) -> Iterator[list[PlayedHook]]:
    """Yield the events in about ``number`` portions. A session is never split, because its whole transcript is there from the start."""
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
def test_during_an_outage_everything_waits_and_then_arrives_once(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, fault: Callable[[Any], None]
) -> None:
    """The receiver is unreachable or answers 503 from the start."""
    installation = install(OTEL_EXPORTER_OTLP_TIMEOUT="500")
    fault(otlp_receiver.http)
    installation.start()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
    wait_until(lambda: not installation.waiting() and not _pending(installation), 60)
    wait_until(lambda: _failing_signals(installation) == {"metrics", "traces", "logs"}, 60)
    assert read_status(installation.home)["waiting"].keys() == {"traces", "logs"}
    assert accepted(otlp_receiver) == {}
    if fault is _away:
        otlp_receiver.http.come_back()
    else:
        otlp_receiver.http.answer_normally()
    wait_until(lambda: _everything_is_sent(installation), 90)
    _assert_same(accepted(otlp_receiver), few.records, most=1)


def test_a_daemon_that_gets_sigterm_sends_what_waits(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver
) -> None:
    """The next daemon sends what the first one had not written yet."""
    installation = install()
    for hook in few.sessions.hooks:
        installation.run_hook(hook)
    installation.start()
    wait_until(lambda: installation.count("written_item") > 0, 60)
    installation.kill(signal.SIGTERM)
    assert installation.count("outbox") == 0
    installation.start()
    wait_until(lambda: _everything_is_sent(installation), 60)
    _assert_same(accepted(otlp_receiver), few.records, most=1)


def test_an_endpoint_that_hangs_delays_no_other_exporter(
    few: Undisturbed, install: Install, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    with OtlpReceiver() as hanging:
        hanging.http.hang()
        endpoint = f"{hanging.http.url}/v1/metrics"
        installation = install(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="500")
        lines = tmp_path / "lines.jsonl"
        installation.home.config.write_text(f'[exporters.json_lines]\npath = "{lines}"\n')
        for hook in few.sessions.hooks:
            installation.run_hook(hook)
        installation.start()
        wait_until(lambda: _everything_is_sent(installation), 90)
        answer = request_flush(installation.home, 60)
        assert {title for title, error in answer.exporters.items() if error} == {"otlp metrics"}
        assert "timed out" in (answer.exporters["otlp metrics"] or "")
        _assert_same(accepted(otlp_receiver), few.records, most=1)
        assert '"claude_sessions_total"' in lines.read_text()
        installation.kill(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kept_hours", [168, 48])
def test_after_three_days_without_an_endpoint_every_span_arrives_once_or_is_counted(
    tmp_path: Path, otlp_receiver: OtlpReceiver, kept_hours: int
) -> None:
    """50,000 spans wait, over nine daemons. Items are kept for a week by default; a shorter limit gives up the older ones."""
    most, parts, hours = 50_000, 9, 72
    clock, home = Clock(1_780_000_000 * SECOND), Home(tmp_path / "home")
    config = Config(outbox=OutboxConfig(max_age_hours=kept_hours))
    settings = OtelSettings.from_variables(_variables(otlp_receiver, "grpc"))
    otlp_receiver.grpc.go_away()
    for part in range(parts):
        daemon = assemble_daemon(home, config, settings, clock)
        for number in range(part * most // parts, (part + 1) * most // parts, 1000):
            some = range(number, min(number + 1000, (part + 1) * most // parts))
            with daemon.core.store.transaction():
                daemon.core.outbox.put(TRACES, [replace(SPAN, span_id=each + 1) for each in some])
            clock.advance(hours * 3600 / parts / (most / parts / 1000))
            daemon.deliveries._trim()
        daemon.close()
    otlp_receiver.grpc.come_back()
    daemon = assemble_daemon(home, config, settings, clock)
    try:
        daemon.deliveries._trim()
        answer = daemon.deliveries.flush(300)
        dropped = [point.value for point in daemon.core.totals.points() if point.metric is catalog.RECORDS_DROPPED]
    finally:
        daemon.close()
    assert answer.ok
    arrived = [int.from_bytes(span.span_id, "big") for span in spans(otlp_receiver)]
    assert len(arrived) == len(set(arrived))
    assert len(arrived) + sum(dropped) == most
    assert bool(dropped) == (kept_hours < hours)
    assert set(arrived) == set(range(most + 1 - len(arrived), most + 1))
