"""Replays that export every signal to a receiver, as a daemon does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claude_hooks_otel.daemon.assembly import Core, assemble_daemon
from claude_hooks_otel.home.flush_requests import FlushAnswer
from claude_hooks_otel.settings import Config, OtelSettings
from tests.support.corpus import Scenario
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.replay import Replay


class ExportedReplay(Replay):
    """A replay that exports every signal to a receiver."""

    def __init__(
        self, scenario: Scenario, folder: Path, variables: dict[str, str], config: Config | None = None
    ) -> None:
        self._variables = variables
        super().__init__(scenario, folder, config=config)

    def _open(self) -> Core:
        otel = OtelSettings.from_variables(self._variables)
        self.daemon = assemble_daemon(self.home, self.config, otel, self.clock, history_ns=0)
        return self.daemon.core

    def play(self) -> FlushAnswer:
        """Play the scenario and send everything."""
        self.write_transcripts()
        self.spool(self.hooks)
        self.drain()
        for seconds in (3600, 70, 70):  # every session is over, and exemplars are still exported
            self.clock.advance(seconds)
            self.core.intake.follow_sessions(everything=True)
        self.daemon.deliveries.work()
        return self.daemon.deliveries.flush()


@contextmanager
def exported(
    name: str, folder: Path, receiver: OtlpReceiver, config: Config | None = None, **variables: str
) -> Iterator[ExportedReplay]:
    """Play a scenario and send everything. The receiver accepted all of it."""
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    replay = ExportedReplay(Scenario(name), folder, given | variables, config)
    try:
        assert replay.play().ok
        yield replay
    finally:
        replay.daemon.close()
