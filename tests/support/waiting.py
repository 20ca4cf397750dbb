"""Puts spans and log events into the outbox, as the daemon does."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from claude_hooks_otel.delivery.outbox import Outbox
from claude_hooks_otel.traces.model import Item


def put(connection: sqlite3.Connection, signal: str, exporter: str, items: Sequence[Item], now_ns: int = 0) -> None:
    """Add items for an exporter at a time. The caller holds the transaction if it needs one."""
    Outbox(connection, lambda: now_ns, {signal: [exporter]}).put(signal, items)
