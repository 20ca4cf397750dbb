"""The base class of custom exporters, and the measurement that they get."""

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord

__all__ = ["CustomExporter", "MetricRecord"]
