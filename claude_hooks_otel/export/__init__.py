"""From series, spans and log events to OTLP: the OpenTelemetry SDK's data classes, and the exporters that send them.

The data classes are built by hand, because a series outlives the process. The SDK's own instruments begin again with each start,
which a receiver takes for a counter reset.
"""
