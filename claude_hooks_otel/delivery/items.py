"""Delivery of spans and log events. An item leaves the outbox after its endpoint's answer, so it is delivered at least once.

A refused batch is set aside, so that it does not delay the others. It is tried again in smaller batches. An item is given up only if its
endpoint accepts other items. A batch that is too large is sent in smaller ones. If the endpoint is away, the worker tries again and
again, and the outbox keeps its limits.
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

# How often the rows of a batch were refused: never, or so often that each is a batch of its own.
_FRESH, _ALONE = 0, len(BATCH_SIZES) - 1

_log = logging.getLogger(__name__)


class ItemWorker(Worker):
    """Sends what waits for one exporter of spans or log events.

    Args:
        exporter: the exporter.
        resource: who sends.
        path: the store's file.
    """

    def __init__(self, exporter: ItemExporter, resource: Resource, path: Path) -> None:
        super().__init__(exporter.signal, exporter.name, path)
        self._exporter = exporter
        self._resource = resource
        self._batch_size = BATCH_SIZES[_FRESH]  # how many items the endpoint takes in a batch
        self._accepts = False  # whether the endpoint has accepted something since its last failure
        # The batch that the endpoint accepted last, until it is removed. If the store is locked meanwhile, it must not be sent again.
        self._accepted: tuple[list[Row], Outcome] | None = None

    def interrupt(self) -> None:
        """End an export under way."""
        self._exporter.shutdown()

    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Send everything, fresh rows first. Return None, or the reason why something still waits."""
        self._remove_accepted(connection)
        self._accepts = False
        for refusals in range(len(BATCH_SIZES)):
            while not (self._stopping or self._is_off):
                most = min(self._batch_size, BATCH_SIZES[refusals])
                rows = outbox.read_batch(connection, self.signal, self.exporter_name, refusals, most)
                if not rows:
                    break
                if (failure := self._send(connection, rows)) is not None:
                    self.note_error(connection, failure)
                    return failure
        return None

    def _send(self, connection: sqlite3.Connection, rows: list[Row]) -> str | None:
        """Send one batch. Return None if the next one may follow, else the reason."""
        try:
            items = [decode(row.body) for row in rows]
        except (ValueError, KeyError, TypeError):
            _log.exception("%d %s items are unreadable", len(rows), self.signal)
            self._set_aside(connection, rows, "unreadable")
            return None
        outcome = self._exporter.export(items, self._resource)
        self.keep_pause(outcome)
        reason = outcome.error or "refused without a reason"
        match outcome.status:
            case Status.ACCEPTED:
                self._accepts = True
                self._batch_size = min(self._batch_size * 2, BATCH_SIZES[_FRESH])
                self._accepted = (rows, outcome)
                self._remove_accepted(connection)
                self.note_error(connection, outcome.error)
            case Status.TOO_LARGE if len(rows) > 1:
                self._batch_size = max(1, len(rows) // 2)
            case Status.TOO_LARGE:
                self.note_error(connection, reason)
                self._give_up(connection, rows, "too_large")
            case Status.REFUSED | Status.FAILED:
                if not self._is_batch_bad(connection, rows, outcome.status):
                    return reason
                # An outage may begin now: what the endpoint accepted before does not tell whether it accepts the next batch.
                self._accepts = False
                self.note_error(connection, reason)
                self._set_aside(connection, rows, "refused")
            case Status.UNSERVED if not self._exporter.is_requested and self._takes_metrics(connection):
                self._switch_off(connection, reason)
            case _:
                return reason
        return None

    def _is_batch_bad(self, connection: sqlite3.Connection, rows: list[Row], status: Status) -> bool:
        """Return whether the batch is bad, and not the endpoint: an endpoint that works accepts another item.

        If no other item waits, a refused batch counts as bad and is split. But a single refused item keeps waiting.
        """
        if self._accepts:
            return True
        other = outbox.read_another(connection, self.signal, self.exporter_name, rows)
        if other is None:
            return status is Status.REFUSED and rows[0].refusals < _ALONE
        try:
            outcome = self._exporter.export([decode(other.body)], self._resource)
        except (ValueError, KeyError, TypeError):
            return False  # unreadable: it is handled in its own batch
        if outcome.ok:
            self._accepted = ([other], outcome)
            self._remove_accepted(connection)
        return outcome.ok

    def _remove_accepted(self, connection: sqlite3.Connection) -> None:
        if self._accepted is None:
            return
        rows, outcome = self._accepted
        with transaction(connection):
            outbox.remove(connection, rows)
            outbox.count_dropped(connection, self.signal, "rejected", outcome.rejected)
            self.note_accepted(connection)
        self.delivered += len(rows) - outcome.rejected
        self.dropped += outcome.rejected
        self._accepted = None

    def _set_aside(self, connection: sqlite3.Connection, rows: list[Row], reason: str) -> None:
        """Set a bad batch aside, to try it in smaller batches. Give up an item that is bad by itself."""
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
        """Return whether the endpoint accepts metrics. If it does not, its address is wrong, and nothing may be given up."""
        state = exporter_state.read_state(connection, "metrics", self.exporter_name)
        return bool(state.accepted_ns) and not state.error

    def _switch_off(self, connection: sqlite3.Connection, reason: str) -> None:
        """Send nothing more until the next start. An endpoint for all signals need not take each of them."""
        with transaction(connection):
            outbox.discard(connection, self.signal, self.exporter_name)
        variable = f"OTEL_{self.signal.upper()}_EXPORTER"
        self.not_sent = (
            f"{reason}. No {self.signal} are sent until the next start. "
            f"Set {variable}=none under [otel] to export none, or {variable}=otlp to keep them until they are accepted."
        )
        self.note_error(connection, self.not_sent)
