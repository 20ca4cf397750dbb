"""Telemetry for Claude Code agents: hook events and transcripts in, OpenTelemetry out.

Data moves one way, and so do the imports: ``spool`` → ``witnesses`` → ``facts`` → ``series`` → ``export``; ``daemon`` drives
them, ``cli`` is what a person types. ``docs/architecture.md`` tells why.
"""

__version__ = "0.1.0"
