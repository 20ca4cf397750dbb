"""The conventions' own metrics: asked for, they count every span once; not asked for, there are none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.settings import Config
from claude_hooks_otel.traces.gen_ai_metrics import CATALOG
from tests.support.corpus import SCENARIOS
from tests.support.exported_replay import exported
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import attributes, spans
from tests.support.otlp_records import histograms as received_histograms

ASKED_FOR: Any = {"metrics": {"gen_ai": True}}


@pytest.mark.parametrize("name", SCENARIOS)
def test_they_count_what_the_spans_tell(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Durations: as many and as long as the spans; tokens: those of the chats, and of our own counters where all are chats."""
    with exported(name, tmp_path, otlp_receiver, Config(**ASKED_FOR)):
        found = received_histograms(otlp_receiver)
        told = [(attributes(span), span) for span in spans(otlp_receiver)]
        for metric, operation in (
            ("gen_ai.client.operation.duration", "chat"),
            ("gen_ai.execute_tool.duration", "execute_tool"),
            ("gen_ai.invoke_agent.duration", "invoke_agent"),
        ):
            chosen = [span for values, span in told if values.get("gen_ai.operation.name") == operation]
            points = [point for _, point in found.get(metric, [])]
            assert sum(point.count for point in points) == len(chosen)
            seconds = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in chosen) / 1e9
            assert sum(point.sum for point in points) == pytest.approx(seconds)
        for kind, attribute in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")):
            counted = [
                point
                for values, point in found.get("gen_ai.client.token.usage", [])
                if values["gen_ai.token.type"] == kind
            ]
            amounts = [values[attribute] for values, _ in told if attribute in values]
            assert (sum(point.count for point in counted), sum(point.sum for point in counted)) == (
                len(amounts),
                sum(amounts),
            )


def test_their_attributes_are_the_conventions_and_whose_it_is(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("api-errors", tmp_path, otlp_receiver, Config(**ASKED_FOR)):
        found = received_histograms(otlp_receiver)
        for name, metric in CATALOG.items():
            for values, point in found[name]:
                assert values.keys() <= set(metric.all_labels)
                assert {"agent", "project", "gen_ai.operation.name", "gen_ai.provider.name"} <= values.keys()
                assert tuple(point.explicit_bounds) == metric.buckets
        errors = Counter(values.get("error.type") for values, _ in found["gen_ai.client.operation.duration"])
        assert len(errors) > 1


def test_there_are_none_unless_they_are_asked_for(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("basic-edit", tmp_path, otlp_receiver):
        assert not [name for name in received_histograms(otlp_receiver) if name.startswith("gen_ai.")]


def test_they_need_no_exporter_of_traces(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    with exported("basic-edit", tmp_path, otlp_receiver, Config(**ASKED_FOR), **none):
        assert set(CATALOG) <= set(received_histograms(otlp_receiver))
        assert spans(otlp_receiver) == []
