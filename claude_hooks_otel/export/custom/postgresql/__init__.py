"""Writes measurements into PostgreSQL, each row once. Needs ``psycopg`` 3."""

from claude_hooks_otel.export.custom.postgresql.exporter import PostgreSQL

__all__ = ["PostgreSQL"]
