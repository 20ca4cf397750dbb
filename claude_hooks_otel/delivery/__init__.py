"""Gets metrics, spans, log events and measurements to endpoints, and knows what the endpoints have accepted."""
