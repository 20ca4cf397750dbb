"""Exemplars of our histograms name spans that were sent."""

from __future__ import annotations

import bisect
from pathlib import Path

import pytest

from claude_hooks_otel.timeline import EXEMPLAR_KEPT
from tests.support.corpus import SCENARIOS
from tests.support.exported_replay import exported
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import histograms as received_histograms
from tests.support.otlp_records import spans


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name in ("basic-edit", "subagents", "permissions")])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_each_bucket_has_an_exemplar_of_a_sent_span_with_a_duration_in_the_bucket(
    name: str, protocol: str, tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    if protocol == "grpc":
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_receiver.grpc_endpoint
    with exported(name, tmp_path, otlp_receiver, **variables):
        known = {(span.trace_id, span.span_id): span for span in spans(otlp_receiver)}
        histograms = received_histograms(otlp_receiver)
        for metric in ("claude.tool.duration", "claude.turn.duration"):
            for _, point in histograms[metric]:
                assert point.exemplars
                bounds = list(point.explicit_bounds)
                filled = {bucket for bucket, count in enumerate(point.bucket_counts) if count}
                pointed = [bisect.bisect_left(bounds, exemplar.as_double) for exemplar in point.exemplars]
                assert sorted(pointed) == sorted(filled)
                for exemplar in point.exemplars:
                    span = known[exemplar.trace_id, exemplar.span_id]
                    lasted = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
                    assert exemplar.as_double == pytest.approx(lasted)
                    assert exemplar.time_unix_nano == span.end_time_unix_nano


def test_without_sent_spans_there_are_no_exemplars(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("basic-edit", tmp_path, otlp_receiver, OTEL_TRACES_SAMPLER="always_off"):
        assert not [
            point for points in received_histograms(otlp_receiver).values() for _, point in points if point.exemplars
        ]


def test_an_exemplar_is_exported_for_some_minutes(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("basic-edit", tmp_path, otlp_receiver) as replay:
        assert [
            point for points in received_histograms(otlp_receiver).values() for _, point in points if point.exemplars
        ]
        replay.clock.advance(EXEMPLAR_KEPT / 1e9 + 1)
        assert replay.daemon.deliveries.flush().ok
        assert not [
            point for points in received_histograms(otlp_receiver).values() for _, point in points if point.exemplars
        ]
