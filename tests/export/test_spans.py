"""Spans arrive with our ids and without private text."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult

from claude_hooks_otel.export.spans import readable_spans
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.private_texts import answered, asked, leaked, not_private_in_traces
from tests.support.replay import play
from tests.support.span_trees import all_spans


@pytest.mark.parametrize("name", SCENARIOS)
def test_spans_arrive_unchanged_and_without_content(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Ids, parents, times, statuses and links are ours. The bytes have no prompt, path, command, output or e-mail address."""
    replay = play(Scenario(name), tmp_path)
    spans = all_spans(replay)
    replay.core.store.close()
    exporter = OTLPSpanExporter(endpoint=f"{otlp_receiver.http_endpoint}/v1/traces")
    sent = readable_spans(spans, Resource({"service.name": "claude-code"}))
    assert exporter.export(sent) is SpanExportResult.SUCCESS
    exporter.shutdown()
    got = [
        span
        for request in otlp_receiver.requests
        for resource in request.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {
        (s.trace_id, s.span_id, s.parent_span_id, s.name, s.start_time_unix_nano, s.end_time_unix_nano, s.status.code)
        for s in got
    } == {
        (
            span.trace_id.to_bytes(16),
            span.span_id.to_bytes(8),
            b"" if span.parent_id is None else span.parent_id.to_bytes(8),
            span.name,
            span.start_ns,
            span.end_ns,
            2 if span.error else 0,
        )
        for span in spans
    }
    assert len(got) == len(spans)
    assert sum(len(s.links) for s in got) == sum(len(span.links) for span in spans)
    assert sum(len(s.events) for s in got) == sum(len(span.events) for span in spans)
    wire = b"".join(request.body for request in otlp_receiver.requests)
    assert str(tmp_path).encode() not in wire  # the folder of the transcripts
    private = (*asked(replay.scenario), *answered(replay.scenario))
    assert leaked(iter(private), wire) - not_private_in_traces(replay.scenario) == set()
