"""The spool as a source. It parses what hooks, programs and status lines have captured, and removes the files once the content is in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.sources import hook_payloads, program_records, status_input, status_readings
from claude_hooks_otel.sources.batch import Batch
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.hook_payloads import HookEvent, PayloadError
from claude_hooks_otel.sources.program_records import ProgramRecord
from claude_hooks_otel.sources.spool import Broken, Entry, Lost, Spool
from claude_hooks_otel.sources.status_readings import StatusReading

# Spool files in a batch. Each batch is one commit.
EVENTS_PER_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """A hook event."""

    envelope: Envelope
    event: HookEvent


@dataclass(frozen=True, slots=True)
class CapturedRecord:
    """A program record."""

    envelope: Envelope
    record: ProgramRecord


@dataclass(frozen=True, slots=True)
class CapturedStatus:
    """What a status line has handed on."""

    envelope: Envelope
    status: StatusReading


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file without usable content.

    Attributes:
        name: the file's name.
        reason: why it cannot be read; None for an empty file, which a hook leaves if the disk is full.
    """

    name: str
    reason: str | None


Captured = CapturedEvent | CapturedRecord | CapturedStatus | Unreadable


class SpoolBatch(Batch[Captured]):
    """Some files of the spool.

    Attributes:
        taken: the names of the files that were read.
        unreadable: the names of files without usable content. They are set aside for the user to look at.
    """

    def __init__(self, entries: Iterator[Entry]) -> None:
        self.taken: list[str] = []
        self.unreadable: list[str] = []
        super().__init__(map(self._parsed, entries))

    def _parsed(self, entry: Entry) -> Captured:
        self.taken.append(entry.name)
        if isinstance(entry, Lost):
            return Unreadable(entry.name, None)
        if isinstance(entry, Broken):
            return self._rejected(entry.name, entry.reason)
        try:
            if entry.event.startswith(program_records.PREFIX):
                return CapturedRecord(entry, program_records.parse(entry.event, entry.payload))
            if entry.event == status_input.EVENT:
                return CapturedStatus(entry, status_readings.parse(entry.payload))
            return CapturedEvent(entry, hook_payloads.parse(entry.payload))
        except PayloadError as error:
            return self._rejected(entry.name, str(error))

    def _rejected(self, name: str, reason: str) -> Unreadable:
        self.unreadable.append(name)
        return Unreadable(name, reason)


class SpoolSource:
    """Reads a spool in batches.

    Args:
        spool: the spool.
        after_commit: calls a function once the current transaction is on disk (``Store.after_commit``).
    """

    def __init__(self, spool: Spool, after_commit: Callable[[Callable[[], None]], None]) -> None:
        self._spool = spool
        self._after_commit = after_commit

    def batch(self, limit: int = EVENTS_PER_BATCH) -> SpoolBatch:
        """Return up to ``limit`` waiting files, oldest first.

        Reading the items raises OSError if this process cannot open any file at the moment.
        """
        return SpoolBatch(self._spool.take(limit))

    def single_batches(self, limit: int = EVENTS_PER_BATCH) -> Iterator[SpoolBatch]:
        """Yield the same files, each in a batch of its own, so that a bad file does not delay the others."""
        return (SpoolBatch(iter([entry])) for entry in self._spool.take(limit))

    def advance(self, batch: SpoolBatch) -> None:
        """Remove the batch's files, once the transaction that holds their content is on disk."""
        self._after_commit(lambda: self._remove(batch))

    def reject(self, batch: SpoolBatch) -> None:
        """Set the batch's files aside for the user to look at."""
        for name in batch.taken:
            self._spool.set_aside(name)

    def _remove(self, batch: SpoolBatch) -> None:
        for name in batch.unreadable:
            self._spool.set_aside(name)
        self._spool.done(batch.taken)
