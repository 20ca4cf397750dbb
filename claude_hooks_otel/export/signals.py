"""OpenTelemetry's signals, by the names that its variables, paths and services have for them."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    """What is exported."""

    METRICS = "metrics"
    TRACES = "traces"
    LOGS = "logs"
