"""Spans and log events pass through a real Collector: it forwards each of them once."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from claude_hooks_otel.store.connection import connect
from monitoring.rig.local import HASTE, LOOPBACK
from monitoring.rig.stack import Stack
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import accepted, spans
from tests.support.real_daemon import wait_until
from tests.support.stack.team import Machine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def _forward_to(config: Path, receiver: OtlpReceiver) -> None:
    """Make the shipped Collector also send traces and logs to ``receiver``."""
    shipped = yaml.safe_load(config.read_text(encoding="utf-8"))
    shipped["exporters"]["otlp_http"] = {"endpoint": receiver.http_endpoint, "compression": "none"}
    for signal in ("traces", "logs"):
        shipped["service"]["pipelines"][signal]["exporters"].append("otlp_http")
    config.write_text(yaml.safe_dump(shipped), encoding="utf-8")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_real_collector_forwards_every_item_once(
    tmp_path: Path, otlp_receiver: OtlpReceiver, servers: None, protocol: str
) -> None:
    stack = Stack(tmp_path / "stack", HASTE)
    _forward_to(tmp_path / "stack" / "collector.yml", otlp_receiver)
    with stack:
        port = stack.ports.grpc if protocol == "grpc" else stack.ports.http
        endpoint = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        machine = Machine(tmp_path / "machine", endpoint)
        try:
            machine.installation.start()
            machine.play("basic-edit", "subagents")
            wait_until(lambda: _count(machine, "written_item") > 100 and not _count(machine, "pending_session"), 60)
            wait_until(lambda: not _count(machine, "outbox"), 60)
            written = _count(machine, "written_item")
            otlp_receiver.wait_for(lambda it: len(accepted(it)) >= written, 30)
        finally:
            machine.installation.close()
    found = accepted(otlp_receiver)
    assert len(found) == written
    assert {len(copies) for copies in found.values()} == {1}


def test_a_point_of_a_panel_leads_to_a_trace(tmp_path: Path, otlp_receiver: OtlpReceiver, servers: None) -> None:
    """Exemplars pass the Collector and Prometheus. Their traces are those that were sent."""
    stack = Stack(tmp_path / "stack", HASTE)
    _forward_to(tmp_path / "stack" / "collector.yml", otlp_receiver)
    with stack:
        machine = Machine(tmp_path / "machine", stack.through_the_collector)
        try:
            machine.installation.start()
            machine.play("basic-edit", "subagents")

            def found() -> set[str]:
                told = stack.ask("query_exemplars", query='{__name__=~"claude_.+"}', start=0, end=time.time() + 60)
                return {each["labels"]["trace_id"] for series in told for each in series["exemplars"]}

            wait_until(found, 60)
            wait_until(lambda: found() <= {span.trace_id.hex() for span in spans(otlp_receiver)}, 60)
        finally:
            machine.installation.close()


def _count(machine: Machine, table: str) -> int:
    with closing(connect(machine.installation.home.store, readonly=True)) as connection:
        return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
