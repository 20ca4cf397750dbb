"""The same facts as records of single sessions: a trace a turn, in OpenTelemetry's conventions for generative AI."""
