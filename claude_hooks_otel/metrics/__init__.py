"""The vocabulary of metrics: definition, catalog, labels, outcomes, and the metrics that programs declare."""
