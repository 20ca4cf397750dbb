"""What a metric is: its definition, the catalog, the labels, and metrics that programs declare."""
