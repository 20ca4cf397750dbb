"""Spans on the wire: the stock exporter sends them with our ids, and nothing private is in their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import SCENARIOS, Scenario
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from otlp_receiver import OtlpReceiver
from replay import play
from span_trees import all_spans
from test_bounds import KNOWN_NAMES, _private

from claude_hooks_otel.export.spans import readable_spans

# What a trace is there to tell: whose turn, which call.
NAMED_BY_ID = ("session_id", "prompt_id", "agent_id", "tool_use_id")
# Names of bounded sets, which outputs hold as well (a list of tools); models' names the client's telemetry tells.
NAMES = ("tool_name", "agent_type", "hook_event_name")


def _printed(value: Any) -> Iterator[str]:
    """Every text in a tool's response, whole and by line."""
    if isinstance(value, str):
        yield value
        yield from value.splitlines()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _printed(part)


@pytest.mark.parametrize("name", SCENARIOS)
def test_spans_arrive_as_they_are_and_hold_no_content(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Ids, parents, times, statuses and links are ours; no prompt, path, command, output or e-mail address is in the bytes."""
    replay = play(Scenario(name), tmp_path)
    spans = all_spans(replay)
    replay.pipeline.close()
    exporter = OTLPSpanExporter(endpoint=f"{otlp_receiver.http_endpoint}/v1/traces")
    sent = readable_spans(spans, Resource({"service.name": "claude-code"}), InstrumentationScope("claude-hooks-otel"))
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
    private = {*_private(replay.scenario)}
    for hook in replay.scenario.hooks:
        private.update(_printed(hook.fields.get("tool_response")))
        private.update(_printed(hook.fields.get("last_assistant_message")))
    named = {
        str(hook.fields[field]) for hook in replay.scenario.hooks for field in NAMED_BY_ID if hook.fields.get(field)
    }
    named |= {str(hook.fields[field]) for hook in replay.scenario.hooks for field in NAMES if hook.fields.get(field)}
    for events in replay.scenario.truth["sessions"].values():
        named |= {told["model"] for told in events.get("api_request", [])}
    wire = b"".join(request.body for request in otlp_receiver.requests)
    assert str(tmp_path).encode() not in wire  # where the replayed transcripts are
    # Shorter texts are words like "done" or "ls", which any wire holds by chance.
    leaked = {text for text in private if len(text) >= 8 and text.encode() in wire}
    assert leaked - named - KNOWN_NAMES == set()
