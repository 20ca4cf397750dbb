"""The state of one home: whether the daemon runs, what waits, and when each endpoint last accepted an export."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.exporter_state import CONFIGURATION, MEASUREMENTS, ExporterState, read_states
from claude_hooks_otel.delivery.measurement_log import waiting
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.managed import managed_registrations
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.settings import Config, OtelSettings, load_usable
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain, newer_schema
from claude_hooks_otel.units import SECOND


def read_status(home: Home) -> dict[str, Any]:
    """Return the state of a home, as ``status --json`` prints it."""
    spool = Spool(home.spool)
    running = is_running(home)
    config, problem = load_usable(home.config, home.last_config, {})
    state: dict[str, Any] = {
        "home": str(home.root),
        "managed_files": [str(path) for path in managed_registrations()],
        "daemon": {"running": running, "pid": int(home.pid.read_text()) if running and home.pid.exists() else None},
        "spool": {
            "waiting": spool.depth(),
            "set_aside": len(list(spool.broken.iterdir())) if spool.broken.is_dir() else 0,
        },
        "store": {"events": 0, "sessions": 0, "series": 0, "newest_event_ns": None},
        "store_error": None,
        "config_error": None,
        "exporters": [],
        "custom_exporters": [],
        "waiting": {},
        "dropped": {},
        "transcript_damage": {},
        "drift": [],
    }
    if home.store.exists():
        try:
            with closing(connect(home.store, readonly=True)) as connection:
                if (newer := newer_schema(connection)) is not None:
                    state["store_error"] = newer
                else:
                    _read_store(connection, state)
        except sqlite3.Error as error:
            state["store_error"] = explain(home.store, error)
    state["config_error"] = problem or state["config_error"]
    _compare(state, config, home)
    return state


def problems(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong in a state: what ``flush`` would report, too. Exporters that are not configured any more do not count."""
    if state["config_error"]:
        yield state["config_error"]
    for exporter in (*state["exporters"], *state["custom_exporters"]):
        if exporter["error"] and exporter["is_configured"]:
            yield f"{exporter['name']} {exporter.get('signal', MEASUREMENTS)}: {exporter['error']}"


def _compare(state: dict[str, Any], config: Config, home: Home) -> None:
    """Compare the exporters that the last daemon had with those of the configuration. The daemon may not have run since."""
    otel = OtelSettings.from_config(config, {})
    wanted = {(str(signal), name): settings for signal, settings in otel.signals.items() for name in settings.exporters}
    for exporter in state["exporters"]:
        settings = wanted.pop((exporter["signal"], exporter["name"]), None)
        exporter["is_configured"] = bool(settings or state["daemon"]["running"])
    for (signal, name), settings in wanted.items():
        described = settings.otlp.describe() if settings.otlp and name == "otlp" else f"console to {home.console}"
        new = {"name": name, "seconds_since_accepted": None, "error": None, "signal": signal, "is_configured": True}
        state["exporters"].append(new | {"description": otel.redact(described)})
    missing = set(config.exporters)
    for exporter in state["custom_exporters"]:
        exporter["is_configured"] = exporter["name"] in missing or state["daemon"]["running"]
        missing.discard(exporter["name"])
    for name in sorted(missing):
        new = {"name": name, "seconds_since_accepted": None, "error": None, "is_configured": True}
        state["custom_exporters"].append(new | {"waiting": None, "dropped": 0})
    if not state["config_error"]:
        mistakes = (settings.error for settings in otel.signals.values() if settings.error)
        state["config_error"] = "\n".join(dict.fromkeys(mistakes)) or None


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
    state["config_error"] = "\n".join(dict.fromkeys(mistakes)) or None  # of the last daemon
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
