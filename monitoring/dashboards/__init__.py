"""The four dashboards. Names and labels come from the metric catalog, so an unknown one is an error."""
