"""What ``status`` and ``doctor`` show of the custom exporters: how far behind each is, and what was wrong last."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from claude_hooks_otel.units import SECOND


def custom_state(connection: sqlite3.Connection, meta: Mapping[str, str]) -> list[dict[str, Any]]:
    """The state of each configured custom exporter, as ``status --json`` prints it.

    Args:
        connection: the store, read-only.
        meta: the store's named values.
    """
    found = []
    for name in json.loads(meta.get("custom_exporters", "[]")):
        cursor = connection.execute("SELECT seq FROM exporter_cursor WHERE exporter = ?", (name,)).fetchone()
        waiting = None
        if cursor is not None:
            (waiting,) = connection.execute(
                "SELECT COUNT(*) FROM measurement_log WHERE seq > ?", (cursor[0],)
            ).fetchone()
        ok_ns = int(meta.get(f"custom.{name}.ok_ns", "0"))
        found.append(
            {
                "name": name,
                "waiting": waiting,
                "dropped": int(meta.get(f"custom.{name}.dropped", "0")),
                "seconds_since_accepted": (time.time_ns() - ok_ns) / SECOND if ok_ns else None,
                "error": meta.get(f"custom.{name}.error") or None,
            }
        )
    return found


def describe_custom(exporter: Mapping[str, Any]) -> str:
    """A few lines for people."""
    age = exporter["seconds_since_accepted"]
    lines = ["took nothing yet" if age is None else f"took measurements {age:.0f} s ago"]
    if exporter["waiting"]:
        lines.append(f"{exporter['waiting']} wait")
    if exporter["dropped"]:
        lines.append(f"[red]{exporter['dropped']} were given up: it was away too long[/]")
    if exporter["error"]:
        lines.append(f"[red]{exporter['error']}[/]")
    return "\n".join(lines)
