"""Spans and log events that wait for one exporter, as the daemon lets them wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from claude_hooks_otel.delivery.outbox import Outbox
from claude_hooks_otel.traces.model import Item


def put(connection: sqlite3.Connection, signal: str, exporter: str, items: Sequence[Item], now_ns: int = 0) -> None:
    """Let items wait for an exporter since a time. The caller holds the transaction, if it needs one."""
    Outbox(connection, lambda: now_ns, {signal: [exporter]}).put(signal, items)
