"""Answers for people: what the sessions did, read from the embedded store."""
