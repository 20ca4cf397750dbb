"""OpenTelemetry's signals, under the names that its variables, paths and services use."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    """A kind of telemetry."""

    METRICS = "metrics"
    TRACES = "traces"
    LOGS = "logs"
