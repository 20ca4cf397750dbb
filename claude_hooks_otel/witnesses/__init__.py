"""The two witnesses of what happened: hook events (prompt, know durations) and transcripts (know models and tokens)."""
