"""Delivery of waiting spans or log events to one endpoint: a thread of its own, which removes what the endpoint has accepted.

At least once: a row goes after the answer to it. What the endpoint called bad, or broke at, is set aside and never holds up the rest,
and is given up only by an endpoint that takes others; what is too large is sent in smaller batches; an endpoint that cannot be reached
is tried again and again while the outbox keeps its bounds.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.metrics import FIRST_RETRY, LONGEST_RETRY
from claude_hooks_otel.delivery.outbox import BATCH_SIZES, Row
from claude_hooks_otel.export.record_exporters import RecordExporter, RecordOutcome, Status
from claude_hooks_otel.store.connection import connect, read_meta, write_meta
from claude_hooks_otel.traces.codec import decode

# The class of rows that no batch was refused with, and of those that stand alone.
_FRESH, _ALONE = 0, len(BATCH_SIZES) - 1

_log = logging.getLogger(__name__)


class RecordDelivery(threading.Thread):
    """Sends what waits for one exporter.

    Args:
        exporter: where to.
        path: the store's file; the thread opens its own connection.
    """

    def __init__(self, exporter: RecordExporter, path: Path) -> None:
        super().__init__(name=f"delivery-{exporter.signal}-{exporter.name}", daemon=True)
        self.exporter = exporter
        self.key = f"export.{exporter.signal}.{exporter.name}"  # of what it leaves in the store for ``status``
        self._path = path
        self._most = BATCH_SIZES[_FRESH]  # records in a batch, as far as the endpoint takes them
        self._condition = threading.Condition()
        self._news = True
        self._stopping = self._resting = False
        self._asked = self._answered = 0
        self._failure: str | None = None
        self._pause = 0.0
        self._accepts = False  # it has accepted something in this round, since it broke last
        # The batch that the endpoint has accepted last, until it is removed: a store that is locked must not send it again.
        self._accepted: tuple[list[Row], RecordOutcome] | None = None
        self.is_off = False  # the endpoint takes none of this signal, and nobody asked for it by name
        self.failures = 0  # tries that failed, since the start
        self.dropped = 0  # records that were given up, since the start

    # -- for the loop ----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is news. No reason to try an endpoint that fails any sooner."""
        with self._condition:
            self._news = True
            self._condition.notify_all()

    def ask(self) -> int:
        """Asks for all that waits to be sent now; the number is for ``answer``."""
        with self._condition:
            self._asked += 1
            self._condition.notify_all()
            return self._asked

    def answer(self, number: int, timeout: float) -> str | None:
        """Waits until all that waited when it was asked for is gone; None, or why it is not."""
        with self._condition:
            if self._condition.wait_for(lambda: self.is_off or self._answered >= number, timeout):
                return self._failure
            return self._failure or f"no answer within {timeout:g} s"

    def finish(self, timeout: float) -> None:
        """Waits until all that it was told of is sent, unless the endpoint fails."""
        with self._condition:
            self._condition.wait_for(
                lambda: self.is_off or (self._resting and (self._failure is not None or not self._news)), timeout
            )

    def stop(self) -> None:
        """Ends the thread, an export under way included."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self.exporter.shutdown()

    # -- the thread ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Sends until stopped."""
        with contextlib.closing(connect(self._path)) as connection:
            while not (self._stopping or self.is_off):
                with self._condition:
                    self._news = self._resting = False
                    asked = self._asked
                try:
                    failure = self._drain(connection)
                except sqlite3.Error as error:
                    failure = f"the store cannot be used for now: {error}"
                except Exception as error:
                    _log.exception("records for %s could not be sent", self.exporter.name)
                    failure = f"{type(error).__name__}: {error}"
                self._rest(failure, asked)

    def _rest(self, failure: str | None, asked: int) -> None:
        """Answers who asked, and waits: for news, or for the next try."""
        with self._condition:
            self._failure, self._answered, self._resting = failure, asked, True
            self._condition.notify_all()
            if failure is None:
                self._pause = 0.0
                self._condition.wait_for(lambda: self._stopping or self.is_off or self._news or self._asked > asked)
            else:
                self.failures += 1
                self._pause = min(LONGEST_RETRY, max(FIRST_RETRY, self._pause * 2))
                self._condition.wait_for(lambda: self._stopping or self._asked > asked, self._pause)

    def _drain(self, connection: sqlite3.Connection) -> str | None:
        """Sends all there is, fresh rows first; None, or why something still waits."""
        self._remove_accepted(connection)
        self._accepts = False
        for refusals in range(len(BATCH_SIZES)):
            while not (self._stopping or self.is_off):
                most = min(self._most, BATCH_SIZES[refusals])
                rows = outbox.read_batch(connection, self.exporter.signal, self.exporter.name, refusals, most)
                if not rows:
                    break
                if (failure := self._send(connection, rows)) is not None:
                    self._note(connection, failure)
                    return failure
        return None

    def _send(self, connection: sqlite3.Connection, rows: list[Row]) -> str | None:
        """Sends one batch; None where the next one can go on, else why not."""
        signal = self.exporter.signal
        try:
            records = [decode(row.body) for row in rows]
        except (ValueError, KeyError, TypeError):
            _log.exception("%d %s records are not readable", len(rows), signal)
            self._part(connection, rows, "unreadable")
            return None
        outcome = self.exporter.export(records)
        reason = outcome.error or "refused without a reason"
        match outcome.status:
            case Status.ACCEPTED:
                self._accepts = True
                self._most = min(self._most * 2, BATCH_SIZES[_FRESH])
                self._accepted = (rows, outcome)
                self._remove_accepted(connection)
                self._note(connection, outcome.error)
            case Status.TOO_LARGE if len(rows) > 1:
                self._most = max(1, len(rows) // 2)
            case Status.TOO_LARGE:
                self._note(connection, reason)
                self._give_up(connection, rows, "too_large")
            case Status.REFUSED | Status.FAILED:
                if not self._is_the_batch(connection, rows, outcome.status):
                    return reason
                # What it took before this failure says nothing of the next one: an outage may begin now.
                self._accepts = False
                self._note(connection, reason)
                self._part(connection, rows, "refused")
            case Status.UNSERVED if not self.exporter.is_requested and self._takes_metrics(connection):
                self._switch_off(connection, reason)
            case _:
                return reason
        return None

    def _is_the_batch(self, connection: sqlite3.Connection, rows: list[Row], status: Status) -> bool:
        """Whether a batch is bad, and not the endpoint: that is told by its taking something else.

        Where nothing else waits, what it calls bad may be parted, but no record is given up on its word alone.
        """
        if self._accepts:
            return True
        takes_another = self._takes_another(connection, rows)
        if takes_another is None:
            return status is Status.REFUSED and rows[0].refusals < _ALONE
        return takes_another

    def _takes_another(self, connection: sqlite3.Connection, rows: list[Row]) -> bool | None:
        """Whether the endpoint takes one record beside these; None where there is no other."""
        other = outbox.read_another(connection, self.exporter.signal, self.exporter.name, rows)
        if other is None:
            return None
        try:
            outcome = self.exporter.export([decode(other.body)])
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
        with _transaction(connection):
            outbox.remove(connection, rows)
            outbox.count_dropped(connection, self.exporter.signal, "rejected", outcome.rejected)
            write_meta(connection, f"{self.key}.ok_ns", str(time.time_ns()))
        self.dropped += outcome.rejected
        self._accepted = None

    def _part(self, connection: sqlite3.Connection, rows: list[Row], reason: str) -> None:
        """Sets a bad batch aside, to be tried in smaller ones; gives a record up that is bad by itself."""
        if rows[0].refusals == _ALONE:
            self._give_up(connection, rows, reason)
            return
        with _transaction(connection):
            outbox.set_aside(connection, rows)

    def _give_up(self, connection: sqlite3.Connection, rows: list[Row], reason: str) -> None:
        with _transaction(connection):
            outbox.remove(connection, rows)
            outbox.count_dropped(connection, self.exporter.signal, reason, len(rows))
        self.dropped += len(rows)

    def _takes_metrics(self, connection: sqlite3.Connection) -> bool:
        """Whether the metrics are accepted there: else it is the endpoint that is wrong, and nothing may be given up for that."""
        key = f"export.{self.exporter.name}"
        return read_meta(connection, f"{key}.ok_ns") not in ("", "0") and not read_meta(connection, f"{key}.error")

    def _switch_off(self, connection: sqlite3.Connection, reason: str) -> None:
        """An endpoint that was set for the metrics need not take all signals: what nobody asked for is not missed."""
        with _transaction(connection):
            outbox.discard(connection, self.exporter.signal, self.exporter.name)
        variable = f"OTEL_{self.exporter.signal.upper()}_EXPORTER"
        self._note(connection, f"{reason}: none are sent until the next start; {variable} says what is wanted")
        self.is_off = True

    def _note(self, connection: sqlite3.Connection, error: str | None) -> None:
        """Leaves in the store what ``status`` shows; says it in the log when it changes."""
        text = error or ""
        if text == read_meta(connection, f"{self.key}.error"):
            return
        write_meta(connection, f"{self.key}.error", text)
        if text:
            _log.warning("%s, %s: %s", self.exporter.name, self.exporter.signal, text)
        else:
            _log.info("%s accepts %s again", self.exporter.name, self.exporter.signal)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
