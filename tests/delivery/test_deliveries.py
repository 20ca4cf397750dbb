"""Spans and log events of recorded sessions reach a receiver completely and without content."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import assemble_daemon
from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.diagnosis.status import read_status
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.settings import Config, OtelSettings, Signal
from claude_hooks_otel.traces.model import Span, SpanKind
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.exported_replay import ExportedReplay, exported
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import attributes, log_records, spans
from tests.support.private_texts import answered, asked, leaked, not_private_in_traces
from tests.support.waiting import put


def _wire(receiver: OtlpReceiver) -> bytes:
    return b"".join(receiver.raw_bodies)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_signal_carries_private_text_by_default(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Metrics, traces and logs have no prompt, path, command, output or e-mail address."""
    with exported(name, tmp_path, otlp_receiver) as replay:
        wire = _wire(otlp_receiver)
        assert b"claude.sessions" in wire
        assert b"invoke_agent" in wire
        assert b"claude.tool.result" in wire
        assert b"claude.tool.input.sha256" in wire
        assert str(tmp_path).encode() not in wire  # the folder of the transcripts
        private = (*asked(replay.scenario), *answered(replay.scenario))
        assert leaked(iter(private), wire) - not_private_in_traces(replay.scenario) == set()


def test_a_switch_for_prompts_shows_prompts_and_no_other_text(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Root spans and log events have every prompt. No span has another text."""
    shown: Any = {"capture": {"prompts": True}}
    with exported("basic-edit", tmp_path, otlp_receiver, Config(**shown)) as replay:
        prompts = {hook.fields["prompt"] for hook in replay.hooks if hook.event == "UserPromptSubmit"}
        assert prompts
        assert {attributes(span).get("claude.prompt") for span in spans(otlp_receiver)} == {*prompts, None}
        events = {record.event_name: attributes(record) for record in log_records(otlp_receiver)}
        assert events["claude.prompt"]["claude.prompt"] in prompts
        kinds = {
            name.removesuffix(".sha256")
            for span in spans(otlp_receiver)
            for name in attributes(span)
            if "sha256" in name
        }
        others = kinds - {"claude.prompt"} | {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"}
        assert len(others) > 3
        assert not others & {name for span in spans(otlp_receiver) for name in attributes(span)}


def test_every_log_event_of_a_span_names_a_span_that_was_sent(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("subagents", tmp_path, otlp_receiver):
        sent = {(span.trace_id, span.span_id) for span in spans(otlp_receiver)}
        named = [(record.trace_id, record.span_id) for record in log_records(otlp_receiver) if record.span_id]
        assert len(named) > 20
        assert set(named) <= sent


def test_a_sampled_turn_is_complete_and_others_are_missing_completely(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    """OpenTelemetry's variables name the sampler."""
    variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.4"}
    with exported("permissions", tmp_path, otlp_receiver, **variables) as replay:
        sent = spans(otlp_receiver)
        roots = {span.trace_id for span in sent if not span.parent_span_id}
        turns = replay.core.store.connection.execute("SELECT COUNT(*) FROM turn").fetchone()[0]
        assert 0 < len(roots) < turns
        assert {span.trace_id for span in sent} == roots
        known = {span.span_id for span in sent}
        assert {span.parent_span_id for span in sent if span.parent_span_id} <= known


def test_nothing_of_a_signal_without_an_exporter_is_written(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    variables = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "otlp"}
    with exported("basic-edit", tmp_path, otlp_receiver, **variables) as replay:
        assert spans(otlp_receiver) == []
        assert log_records(otlp_receiver) != []
        kinds = replay.core.store.connection.execute("SELECT DISTINCT signal FROM written_item").fetchall()
        assert kinds == [("logs",)]


def test_items_wait_while_the_configuration_is_invalid_and_status_says_why(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    home = Home(tmp_path)
    span = Span(
        trace_id=1, span_id=2, parent_id=None, name="waiting", kind=SpanKind.INTERNAL, start_ns=1, end_ns=2, attributes={}
    )  # fmt: skip
    broken = assemble_daemon(home, Config(), OtelSettings.from_variables({"OTEL_TRACES_EXPORTER": "oltp"}))
    store = broken.core.store
    with store.transaction():
        put(store.connection, Signal.TRACES, "otlp", [span], time.time_ns())
    broken.deliveries.work()
    assert outbox.depth(store.connection) == {"traces": 1}
    answer = broken.deliveries.flush()
    assert not answer.ok
    assert "oltp is not known" in str(answer.exporters["configuration traces"])
    broken.close()
    assert "oltp is not known" in str(read_status(home)["config_error"])
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    repaired = assemble_daemon(home, Config(), OtelSettings.from_variables(variables))
    assert repaired.deliveries.flush().ok
    repaired.close()
    assert "waiting" in {span.name for span in spans(otlp_receiver)}


def test_a_full_outbox_gives_up_items_and_counts_each(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    otlp_receiver.http.fail_with(503, "away")
    small: Any = {"outbox": {"max_megabytes": 0.01}}
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "200",
    }
    replay = ExportedReplay(Scenario("basic-edit"), tmp_path, variables, Config(**small))
    replay.play()
    connection = replay.core.store.connection
    written = connection.execute("SELECT COUNT(*) FROM written_item").fetchone()[0]
    left = sum(outbox.depth(connection).values())
    replay.daemon.deliveries.close()
    dropped = {
        dict(point.labels)["signal"]: point.value
        for point in replay.core.totals.points()
        if point.metric is catalog.RECORDS_DROPPED and dict(point.labels)["reason"] == "outbox_full"
    }
    replay.core.store.close()
    assert 0 < left < written
    assert sum(dropped.values()) == written - left
    assert read_status(replay.home)["dropped"] == {f"{signal} outbox_full": count for signal, count in dropped.items()}
