"""The spans and log records that a receiver accepted, as values that tests can compare."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.support import otlp_points
from tests.support.otlp_receiver import OtlpReceiver

Records = dict[str, list[bytes]]


def spans(receiver: OtlpReceiver) -> list[Any]:
    """Return all spans of accepted requests, as protobuf messages, in the order of arrival."""
    return [
        span
        for message in receiver.traces
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def log_records(receiver: OtlpReceiver) -> list[Any]:
    """Return all log records of accepted requests, as protobuf messages, in the order of arrival."""
    return [
        record
        for message in receiver.logs
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def attributes(record: Any) -> dict[str, Any]:
    """Return the attributes of a span, an event, a link or a log record. Lists are tuples."""
    return otlp_points.attributes(record.attributes)


def accepted(receiver: OtlpReceiver) -> Records:
    """Return id → each accepted copy. Spans have their span id, log records ``log.record.uid``."""
    found: Records = defaultdict(list)
    for span in spans(receiver):
        found[f"span {span.span_id.hex()}"].append(span.SerializeToString(deterministic=True))
    for record in log_records(receiver):
        copy = type(record).FromString(record.SerializeToString())
        copy.observed_time_unix_nano = 0  # the time of sending
        found[f"log {attributes(record)['log.record.uid']}"].append(copy.SerializeToString(deterministic=True))
    return dict(found)


def histograms(receiver: OtlpReceiver) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Return metric name → (attributes, protobuf point) of the last export with that metric."""
    found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    for message in receiver.messages("metrics"):
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.WhichOneof("data") == "histogram":
                        found[metric.name] = [(attributes(point), point) for point in metric.histogram.data_points]
    return found
