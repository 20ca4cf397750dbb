"""Custom exporters: what to derive from, and what they are given."""

from claude_hooks_otel.export.custom.base import CustomExporter, MetricRecord

__all__ = ["CustomExporter", "MetricRecord"]
