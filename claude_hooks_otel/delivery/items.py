"""Delivery of waiting spans and log events. An item leaves the outbox after its endpoint's answer, so it is delivered at least once.

A batch that an endpoint refuses is set aside and never holds up the others. It is tried again in smaller batches, and an item is given
up only by an endpoint that accepts others. A batch that is too large is sent in smaller ones. An endpoint that is away is tried again and
again, while the outbox keeps its bounds.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.delivery import exporter_state, outbox
from claude_hooks_otel.delivery.outbox import BATCH_SIZES, Row
from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.export.exporters import ItemExporter
from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.store.connection import transaction
from claude_hooks_otel.traces.codec import decode

# How often the rows of a batch were refused: never, or so often that they stand alone.
_FRESH, _ALONE = 0, len(BATCH_SIZES) - 1

_log = logging.getLogger(__name__)


class ItemWorker(Worker):
    """Sends what waits for one exporter of spans or log events.

    Args:
        exporter: where to.
        resource: who sends.
        path: the store's file.
    """

    def __init__(self, exporter: ItemExporter, resource: Resource, path: Path) -> None:
        super().__init__(exporter.signal, exporter.name, path)
        self._exporter = exporter
        self._resource = resource
        self._most = BATCH_SIZES[_FRESH]  # items in a batch, as the endpoint takes them
        self._accepts = False  # whether it has accepted something since it broke last
        # The batch that the endpoint accepted last, until it is removed: a locked store must not send it again.
        self._accepted: tuple[list[Row], Outcome] | None = None

    def interrupt(self) -> None:
        """End an export under way."""
        self._exporter.shutdown()

    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Send everything, fresh rows first. Return None, or why something still waits."""
        self._remove_accepted(connection)
        self._accepts = False
        for refusals in range(len(BATCH_SIZES)):
            while not (self._stopping or self._is_off):
                most = min(self._most, BATCH_SIZES[refusals])
                rows = outbox.read_batch(connection, self.signal, self.exporter_name, refusals, most)
                if not rows:
                    break
                if (failure := self._send(connection, rows)) is not None:
                    self.note_error(connection, failure)
                    return failure
        return None

    def _send(self, connection: sqlite3.Connection, rows: list[Row]) -> str | None:
        """Send one batch. Return None if the next one may follow, else why not."""
        try:
            items = [decode(row.body) for row in rows]
        except (ValueError, KeyError, TypeError):
            _log.exception("%d %s items are unreadable", len(rows), self.signal)
            self._part(connection, rows, "unreadable")
            return None
        outcome = self._exporter.export(items, self._resource)
        reason = outcome.error or "refused without a reason"
        match outcome.status:
            case Status.ACCEPTED:
                self._accepts = True
                self._most = min(self._most * 2, BATCH_SIZES[_FRESH])
                self._accepted = (rows, outcome)
                self._remove_accepted(connection)
                self.note_error(connection, outcome.error)
            case Status.TOO_LARGE if len(rows) > 1:
                self._most = max(1, len(rows) // 2)
            case Status.TOO_LARGE:
                self.note_error(connection, reason)
                self._give_up(connection, rows, "too_large")
            case Status.REFUSED | Status.FAILED:
                if not self._is_the_batch(connection, rows, outcome.status):
                    return reason
                # What the endpoint accepted before this failure says nothing about the next one: an outage may begin now.
                self._accepts = False
                self.note_error(connection, reason)
                self._part(connection, rows, "refused")
            case Status.UNSERVED if not self._exporter.is_requested and self._takes_metrics(connection):
                self._switch_off(connection, reason)
            case _:
                return reason
        return None

    def _is_the_batch(self, connection: sqlite3.Connection, rows: list[Row], status: Status) -> bool:
        """Return whether the batch is bad, not the endpoint: then the endpoint accepts something else.

        If nothing else waits, a batch that the endpoint calls bad is parted. But no item is given up on its word alone.
        """
        if self._accepts:
            return True
        takes_another = self._takes_another(connection, rows)
        if takes_another is None:
            return status is Status.REFUSED and rows[0].refusals < _ALONE
        return takes_another

    def _takes_another(self, connection: sqlite3.Connection, rows: list[Row]) -> bool | None:
        """Return whether the endpoint accepts an item that is not in these rows; None if there is no other."""
        other = outbox.read_another(connection, self.signal, self.exporter_name, rows)
        if other is None:
            return None
        try:
            outcome = self._exporter.export([decode(other.body)], self._resource)
        except (ValueError, KeyError, TypeError):
            return False  # its turn comes
        if outcome.status is not Status.ACCEPTED:
            return False
        self._accepted = ([other], outcome)
        self._remove_accepted(connection)
        return True

    def _remove_accepted(self, connection: sqlite3.Connection) -> None:
        if self._accepted is None:
            return
        rows, outcome = self._accepted
        with transaction(connection):
            outbox.remove(connection, rows)
            outbox.count_dropped(connection, self.signal, "rejected", outcome.rejected)
            self.note_accepted(connection)
        self.dropped += outcome.rejected
        self._accepted = None

    def _part(self, connection: sqlite3.Connection, rows: list[Row], reason: str) -> None:
        """Set a bad batch aside, to be tried in smaller ones. Give up an item that is bad by itself."""
        if rows[0].refusals == _ALONE:
            self._give_up(connection, rows, reason)
            return
        with transaction(connection):
            outbox.set_aside(connection, rows)

    def _give_up(self, connection: sqlite3.Connection, rows: list[Row], reason: str) -> None:
        with transaction(connection):
            outbox.remove(connection, rows)
            outbox.count_dropped(connection, self.signal, reason, len(rows))
        self.dropped += len(rows)

    def _takes_metrics(self, connection: sqlite3.Connection) -> bool:
        """Return whether the endpoint accepts metrics. If not, the endpoint is wrong, and nothing may be given up for that."""
        state = exporter_state.read_state(connection, "metrics", self.exporter_name)
        return bool(state.accepted_ns) and not state.error

    def _switch_off(self, connection: sqlite3.Connection, reason: str) -> None:
        """Send nothing more: an endpoint that was set for all signals need not take each of them."""
        with transaction(connection):
            outbox.discard(connection, self.signal, self.exporter_name)
        variable = f"OTEL_{self.signal.upper()}_EXPORTER"
        self.not_sent = f"{reason}: none are sent until the next start; {variable} says what is wanted"
        self.note_error(connection, self.not_sent)
