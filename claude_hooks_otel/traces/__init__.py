"""Spans and log events of single sessions, made from facts. A turn is a trace, in OpenTelemetry's conventions for generative AI."""
