"""Cumulative series: what the facts add up to, with a start time that is kept for ever."""
