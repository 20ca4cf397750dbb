"""The custom exporters' links: whether each takes what it is given, and whether anything was given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from claude_hooks_otel.diagnosis.custom_exporter_state import custom_state
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings
from claude_hooks_otel.store.connection import connect


def custom_exporters(surroundings: Surroundings) -> Iterator[Finding]:
    """What the daemon last noted of each custom exporter."""
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            states = custom_state(connection, dict(connection.execute("SELECT name, value FROM meta")))
    except sqlite3.Error:
        return  # the store is another link
    for state in states:
        link = f"exporter {state['name']}"
        if state["error"]:
            yield Finding(
                link,
                Level.FAIL,
                state["error"],
                f"Correct what [exporters.{state['name']}] names, or its server; what waits is kept.",
            )
        elif state["dropped"]:
            yield Finding(
                link,
                Level.WARN,
                f"{state['dropped']} measurements were given up while it was away",
                "Nothing brings them back.",
            )
        else:
            yield Finding(link, Level.OK, f"{state['waiting'] or 0} measurements wait")


LOOKS = (custom_exporters,)
