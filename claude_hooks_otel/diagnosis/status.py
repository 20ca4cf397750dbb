"""The state of one home: whether the daemon runs, what waits, and when each endpoint last accepted an export."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.exporter_state import CONFIGURATION, MEASUREMENTS, ExporterState, read_states
from claude_hooks_otel.delivery.measurement_log import waiting
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain, newer_schema
from claude_hooks_otel.units import SECOND


def read_status(home: Home) -> dict[str, Any]:
    """Return the state of a home, as ``status --json`` prints it."""
    spool = Spool(home.spool)
    running = is_running(home)
    state: dict[str, Any] = {
        "home": str(home.root),
        "daemon": {"running": running, "pid": int(home.pid.read_text()) if running and home.pid.exists() else None},
        "spool": {
            "waiting": spool.depth(),
            "set_aside": len(list(spool.broken.iterdir())) if spool.broken.is_dir() else 0,
        },
        "store": {"events": 0, "sessions": 0, "series": 0, "newest_event_ns": None, "error": None},
        "config_error": None,
        "exporters": [],
        "custom_exporters": [],
        "waiting": {},
        "dropped": {},
        "transcript_damage": {},
        "drift": [],
    }
    if not home.store.exists():
        return state  # the daemon has never run
    try:
        with closing(connect(home.store, readonly=True)) as connection:
            if (newer := newer_schema(connection)) is not None:
                state["store"]["error"] = newer
            else:
                _read_store(connection, state)
    except sqlite3.Error as error:
        state["store"]["error"] = explain(home.store, error)
    return state


def _read_store(connection: sqlite3.Connection, state: dict[str, Any]) -> None:
    def one(query: str) -> Any:
        return connection.execute(query).fetchone()[0]

    state["store"] |= {
        "events": one("SELECT COALESCE(SUM(value), 0) FROM series WHERE metric = 'claude.hooks.events'"),
        "sessions": one("SELECT COUNT(*) FROM session"),
        "series": one("SELECT COUNT(*) FROM series"),
        "newest_event_ns": one("SELECT MAX(received_ns) FROM ledger"),
    }
    states = read_states(connection)
    mistakes = [exporter.error for exporter in states if exporter.name == CONFIGURATION]
    state["config_error"] = "\n".join(dict.fromkeys(mistakes)) or None
    for exporter in states:
        if exporter.signal == MEASUREMENTS:
            measurements = {"waiting": waiting(connection, exporter.name), "dropped": exporter.dropped}
            state["custom_exporters"].append(_exporter(exporter) | measurements)
        elif exporter.name != CONFIGURATION:
            described = {"signal": exporter.signal, "description": exporter.description}
            state["exporters"].append(_exporter(exporter) | described)
    depth = outbox.depth(connection)
    state["waiting"] = {signal: depth[signal] for signal in sorted(depth)}
    for labels, value in connection.execute(
        "SELECT labels, value FROM series WHERE metric IN ('claude.hooks.events.dropped', 'claude.hooks.records.dropped')"
    ):
        what = dict(json.loads(labels))
        state["dropped"][" ".join(filter(None, (what.get("signal"), what["reason"])))] = value
    damage = connection.execute("SELECT labels, value FROM series WHERE metric = ?", (catalog.TRANSCRIPT_DAMAGE.name,))
    state["transcript_damage"] = {dict(json.loads(labels))["reason"]: value for labels, value in damage}
    state["drift"] = [
        {"kind": kind, "name": name, "seen": seen}
        for kind, name, seen in connection.execute("SELECT kind, name, seen FROM drift ORDER BY seen DESC LIMIT 50")
    ]


def _exporter(state: ExporterState) -> dict[str, Any]:
    accepted_ago = (time.time_ns() - state.accepted_ns) / SECOND if state.accepted_ns else None
    return {"name": state.name, "seconds_since_accepted": accepted_ago, "error": state.error or None}
