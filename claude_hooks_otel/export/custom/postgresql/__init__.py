"""The PostgreSQL exporter. It needs ``psycopg`` 3."""

from claude_hooks_otel.export.custom.postgresql.exporter import PostgreSQL

__all__ = ["PostgreSQL"]
