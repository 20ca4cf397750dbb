"""Custom exporters: whether each one accepts its measurements, and whether any were dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from claude_hooks_otel.delivery.exporter_state import MEASUREMENTS, read_states
from claude_hooks_otel.delivery.measurement_log import waiting
from claude_hooks_otel.diagnosis.finding import Finding, Surroundings, fail, ok, warn
from claude_hooks_otel.store.connection import connect


def custom_exporters(surroundings: Surroundings) -> Iterator[Finding]:
    """Report the last saved state of each custom exporter."""
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            found = [
                (state, waiting(connection, state.name))
                for state in read_states(connection)
                if state.signal == MEASUREMENTS
            ]
    except sqlite3.Error:
        return  # the check of the store reports this
    for state, count in found:
        step = f"exporter {state.name}"
        if state.error:
            remedy = f"Correct [exporters.{state.name}], or repair its server. Waiting measurements are kept."
            yield fail(step, state.error, remedy)
        elif state.dropped:
            observed = f"{state.dropped} measurements were dropped because the endpoint was unavailable for too long"
            yield warn(step, observed, "They cannot be recovered.")
        else:
            yield ok(step, f"{count or 0} measurements wait")


CHECKS = (custom_exporters,)
