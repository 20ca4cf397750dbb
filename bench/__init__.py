"""Benchmarks: ``python -m bench.NAME`` runs one and prints both sides of the comparison and their ratio."""
