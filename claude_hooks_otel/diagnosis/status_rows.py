"""The state of a home in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from claude_hooks_otel.diagnosis.finding import Surroundings
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.units import duration_text


def status_rows(state: Mapping[str, Any], home: Home, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each row of ``status``.

    Args:
        state: what ``read_status`` returns.
        home: the home.
        environ: the environment, which says what starts the daemon next.
    """
    daemon, spool, store = state["daemon"], state["spool"], state["store"]
    yield "home", state["home"]
    if state["managed_files"]:
        yield "hooks", f"registered by the organization's managed settings: {', '.join(state['managed_files'])}"
    next_start = "" if daemon["running"] else Surroundings(environ, Path.cwd()).next_start
    yield "daemon", f"running (pid {daemon['pid']})" if daemon["running"] else f"not running; {next_start}"
    yield "spool", f"{spool['waiting']} waiting, {spool['set_aside']} set aside"
    if state["store_error"] is None:
        yield "store", f"{store['events']} events, {store['sessions']} sessions, {store['series']} series"
    yield from _exporters(state, home)
    for signal, count in state["waiting"].items():
        yield "waiting", f"{count} {'spans' if signal == 'traces' else 'log events'}"
    for reason, count in state["dropped"].items():
        yield "dropped", f"{count} {reason}"
    for reason, count in state["transcript_damage"].items():
        yield "damaged transcript lines", f"{count} {reason}"


def _exporters(state: Mapping[str, Any], home: Home) -> Iterator[tuple[str, str]]:
    for exporter in state["exporters"]:
        is_in_file = exporter["name"] == "console" and str(home.console) in exporter["description"]
        follow = "\nfollow it with `claude-hooks-otel console --follow`" if is_in_file else ""
        title = f"export {exporter['name']} {exporter['signal']}"
        yield title, f"{exporter['description']}{follow}\n{_accepted(exporter)}"
    if not (state["exporters"] or state["custom_exporters"] or state["config_error"]):
        yield "export", "no endpoint is configured: see `claude-hooks-otel report`"
    for exporter in state["custom_exporters"]:
        lines = [f"{exporter['waiting']} waiting"] if exporter["waiting"] else []
        if exporter["dropped"]:
            lines.append(f"{exporter['dropped']} measurements were dropped: the endpoint was unavailable for too long")
        yield f"exporter {exporter['name']}", "\n".join([*lines, _accepted(exporter)])


def _accepted(exporter: Mapping[str, Any]) -> str:
    """Return when the endpoint last accepted an export, and whether it did since."""
    age = exporter["seconds_since_accepted"]
    when = "accepted nothing yet" if age is None else f"last accepted {duration_text(age)} ago"
    if not exporter["is_configured"]:
        return f"{when}; not configured any more"
    return f"{when}; the last export failed, see below" if exporter["error"] else when
