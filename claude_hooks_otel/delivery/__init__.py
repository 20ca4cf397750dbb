"""Getting metrics, spans, log events and measurements to endpoints, and knowing what they accepted."""
