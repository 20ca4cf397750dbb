"""From series, spans and log events to OTLP: the OpenTelemetry SDK's data classes, and the exporters that send them.

We build the data classes by hand, because a series outlives the process. The SDK's own instruments begin at zero with each start, and
a receiver would see counter resets.
"""
