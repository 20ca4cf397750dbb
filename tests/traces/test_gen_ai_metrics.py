"""The metrics of the GenAI conventions count every span once if they are on. By default they are off."""

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

GEN_AI_METRICS: Any = {"metrics": {"gen_ai": True}}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_metrics_equal_the_spans(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """Durations are as many and as long as the spans. Tokens are those of the chat spans."""
    with exported(name, tmp_path, otlp_receiver, Config(**GEN_AI_METRICS)):
        found = received_histograms(otlp_receiver)
        sent = [(attributes(span), span) for span in spans(otlp_receiver)]
        for metric, operation in (
            ("gen_ai.client.operation.duration", "chat"),
            ("gen_ai.execute_tool.duration", "execute_tool"),
            ("gen_ai.invoke_agent.duration", "invoke_agent"),
        ):
            chosen = [span for values, span in sent if values.get("gen_ai.operation.name") == operation]
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
            amounts = [values[attribute] for values, _ in sent if attribute in values]
            assert (sum(point.count for point in counted), sum(point.sum for point in counted)) == (
                len(amounts),
                sum(amounts),
            )


def test_the_metrics_have_the_attributes_of_the_conventions_and_the_identity(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    with exported("api-errors", tmp_path, otlp_receiver, Config(**GEN_AI_METRICS)):
        found = received_histograms(otlp_receiver)
        for name, metric in CATALOG.items():
            for values, point in found[name]:
                assert values.keys() <= set(metric.all_labels)
                assert {"agent", "project", "gen_ai.operation.name", "gen_ai.provider.name"} <= values.keys()
                assert tuple(point.explicit_bounds) == metric.buckets
        errors = Counter(values.get("error.type") for values, _ in found["gen_ai.client.operation.duration"])
        assert len(errors) > 1


def test_the_metrics_are_off_by_default(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    with exported("basic-edit", tmp_path, otlp_receiver):
        assert not [name for name in received_histograms(otlp_receiver) if name.startswith("gen_ai.")]


def test_the_metrics_need_no_exporter_of_traces(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    with exported("basic-edit", tmp_path, otlp_receiver, Config(**GEN_AI_METRICS), **none):
        assert set(CATALOG) <= set(received_histograms(otlp_receiver))
        assert spans(otlp_receiver) == []
