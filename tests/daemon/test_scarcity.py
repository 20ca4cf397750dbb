"""With few file descriptors or little memory, and through an upgrade in place, nothing that was captured is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.metrics.labels import UNKNOWN
from claude_hooks_otel.sources import hook_payloads, transcript_files
from claude_hooks_otel.sources.spool import Spool
from tests.support.corpus import Scenario
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import ROOT
from tests.support.real_daemon import Installation, RecordedSessions, final_totals, wait_until
from tests.support.replay import Replay, play

# -- in one process ------------------------------------------------------------------------------------------------------

SHORTAGES = (MemoryError(), OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread"))


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_a_session_that_cannot_be_read_for_now_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    wanted = play(Scenario("basic-edit"), tmp_path / "without").totals()
    replay = Replay(Scenario("basic-edit"), tmp_path / "with")
    replay.write_transcripts()
    replay.spool(replay.hooks)

    def fails(*_: Any) -> Any:
        raise shortage

    with monkeypatch.context() as patch:
        patch.setattr(transcript_files, "open_foreign", fails)
        while replay.core.intake.take_events():
            pass
        for _ in range(3):
            replay.clock.advance(3600)
            with pytest.raises(type(shortage)):
                replay.core.intake.follow_sessions(everything=True)
    replay.finish()
    assert replay.totals() == wanted


def test_an_event_that_needs_too_much_memory_for_now_stays_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = play(Scenario("basic-edit"), tmp_path / "without").totals()
    replay = Replay(Scenario("basic-edit"), tmp_path / "with")
    replay.write_transcripts()
    replay.spool(replay.hooks)
    heavy = replay.hooks[1].event
    parse = hook_payloads.parse

    def parse_most(payload: bytes) -> Any:
        if json.loads(payload)["hook_event_name"] == heavy:
            raise MemoryError
        return parse(payload)

    with monkeypatch.context() as patch:
        patch.setattr(hook_payloads, "parse", parse_most)
        replay.core.intake.take_events()
        left = [path.name.partition(".")[0] for path in (replay.home.spool / "new").iterdir()]
        assert set(left) == {heavy}
        assert not list((replay.home.spool / "broken").iterdir())
    replay.drain()
    replay.finish()
    assert replay.totals() == wanted


# -- real daemons --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> RecordedSessions:
    return RecordedSessions(("basic-edit", "tasks"), tmp_path_factory.mktemp("projects"))


def _serve(installation: Installation, limits: str) -> subprocess.Popen[bytes]:
    code = (
        "import os; from claude_hooks_otel.daemon.loop import serve; from claude_hooks_otel.home.lock import DaemonLock; "
        "from claude_hooks_otel.home.paths import Home; "
        "home = Home.from_environment(); serve(home, dict(os.environ), DaemonLock.acquire(home))"
    )
    command = ["/bin/sh", "-c", f'ulimit {limits} && exec "$0" -c "$1"', sys.executable, code]
    return subprocess.Popen(command, env=installation.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


@pytest.fixture
def installation(tmp_path: Path, otlp_receiver: OtlpReceiver) -> Iterator[Installation]:
    """An installation with OTLP for every signal, JSON lines and the Prometheus page."""
    made = Installation(
        tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    )
    exporters = {"json_lines": {"path": str(tmp_path / "lines.jsonl")}, "prometheus": {"port": 0}}
    made.home.config.write_text(tomli_w.dumps({"exporters": exporters}))
    yield made
    made.close()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, sessions: RecordedSessions) -> Any:
    with OtlpReceiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        without = Installation(tmp_path_factory.mktemp("without"), environ)
        try:
            for hook in sessions.hooks:
                without.run_hook(hook)
            without.start()
            return final_totals(receiver, without)
        finally:
            without.close()


@pytest.mark.faults
def test_64_file_descriptors_are_enough_for_every_exporter(
    sessions: RecordedSessions, wanted: Any, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    for hook in sessions.hooks:
        installation.run_hook(hook)
    with _serve(installation, "-n 64") as process:
        try:
            assert final_totals(otlp_receiver, installation) == wanted
        finally:
            process.terminate()


@pytest.mark.faults
@pytest.mark.parametrize("limits", ["-n 16", "-n 22", "-v 250000", "-v 600000"])
def test_a_daemon_that_lacks_files_or_memory_loses_nothing(
    sessions: RecordedSessions, wanted: Any, installation: Installation, otlp_receiver: OtlpReceiver, limits: str
) -> None:
    """It may work, wait or die. The next daemon has everything that it needs, and everything is there."""
    for hook in sessions.hooks:
        installation.run_hook(hook)
    with _serve(installation, limits) as process:
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    installation.start()
    assert final_totals(otlp_receiver, installation) == wanted
    assert not list((installation.home.spool / "broken").iterdir())


@pytest.mark.faults
def test_after_an_upgrade_in_place_the_running_daemon_is_the_new_version(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    """The process replaces itself, and keeps its id and its home."""
    site, home = tmp_path / "site", Home(tmp_path / "home")
    package = site / "claude_hooks_otel"
    shutil.copytree(ROOT / "claude_hooks_otel", package, ignore=shutil.ignore_patterns("__pycache__"))
    timeline = package / "timeline.py"  # it looks every minute
    timeline.write_text(
        timeline.read_text().replace("RECOVER_EVERY, FORGET_EVERY = 60.0,", "RECOVER_EVERY, FORGET_EVERY = 0.2,")
    )
    home.create()
    home.config.write_text(
        tomli_w.dumps(
            {
                "otel": {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
                    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                }
            }
        )
    )
    code = f"import runpy, sys; sys.path.insert(0, {str(site)!r}); runpy.run_module('claude_hooks_otel.daemon', run_name='__main__')"

    def play(session: str) -> None:
        payload = {"session_id": session, "cwd": "/x", "hook_event_name": "SessionStart", "source": "startup"}
        Spool(home.spool).write("SessionStart", {"agent": session}, json.dumps(payload).encode())

    def version(session: str) -> Any:
        found = [
            point.resource["service.version"]
            for point in otlp_receiver.metrics
            if point.name == "claude.sessions" and point.attributes["agent"] == session
        ]
        return found[-1] if found else UNKNOWN

    environ = {"PATH": os.environ["PATH"], HOME_VARIABLE: str(home.root)}
    with subprocess.Popen([sys.executable, "-c", code], env=environ) as process:
        try:
            play("before")
            wait_until(lambda: version("before") != UNKNOWN)
            new = package / "new"
            shutil.copy(package / "__init__.py", new)
            metadata = site / "claude_hooks_otel-99.0.dist-info" / "METADATA"
            metadata.parent.mkdir()
            metadata.write_text("Metadata-Version: 2.4\nName: claude-hooks-otel\nVersion: 99.0\n")
            new.replace(package / "__init__.py")
            play("after")
            wait_until(lambda: version("after") == "99.0")
            assert home.pid.read_text().strip() == str(process.pid)
        finally:
            process.terminate()
    assert process.returncode == 0
