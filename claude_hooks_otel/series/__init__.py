"""Series: the cumulative totals of facts, gauges and scores."""
