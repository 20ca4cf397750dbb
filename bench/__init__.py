"""Benchmarks: commands that print both sides and their ratio."""
