"""Writes program records into the spool, one file each, as hooks do. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources.spool import Spool

# After so many records, the recorder looks whether a daemon reads them and whether the spool keeps its budget.
LOOKS_EVERY = 10_000
# Errors after which an empty file can still be made. It tells the daemon that a record was lost because there was no room.
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


class SpoolRecorder:
    """Writes program records that the daemon reads when it runs.

    It is safe in threads and across ``fork``: a file's name holds the process that writes it, and nothing waits in memory.

    Args:
        home: the home with the spool. None takes the one that the environment names, as hooks do.

    Attributes:
        lost: how many records could not be written.
    """

    def __init__(self, home: Home | None = None) -> None:
        # Not locks: if a thread holds one during a fork, the child never gets it.
        self._losses, self._records, self._warnings = itertools.count(1), itertools.count(1), itertools.count()
        self.lost = 0
        try:
            self._spool: Spool | None = Spool((home or Home.from_environment()).spool)
        except RuntimeError as error:
            self._spool = None
            self._lose(error)

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Write one record. A failure is counted, and logged the first time; it never raises."""
        spool = self._spool
        if spool is None:
            self.lost = next(self._losses)
            return
        try:
            spool.write(event, headers, json.dumps(payload).encode())
        except Exception as error:
            self._lose(error)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                _leave_a_mark(spool, event)
            return
        if not next(self._records) % LOOKS_EVERY:
            with contextlib.suppress(OSError):
                self._look(spool)

    def _look(self, spool: Spool) -> None:
        """Keep the spool's budget if no daemon does, and say once that nothing reads the records."""
        from claude_hooks_otel.home.lock import is_running  # noqa: PLC0415 — most programs never need these imports
        from claude_hooks_otel.sources.spool_budget import Budget, keep_budget  # noqa: PLC0415

        if is_running(Home(spool.root.parent)):
            return
        dropped = keep_budget(spool, Budget())
        if not next(self._warnings):
            _warn(
                f"no daemon reads the spool, and {spool.depth()} records and events wait. Run `claude-hooks-otel flush`. "
                "If too many wait, the oldest are dropped." + (f" {dropped} were dropped just now." if dropped else "")
            )

    def open(self, name: str) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """Return a context that does nothing: the record at the end of a task or span says everything."""
        return contextlib.nullcontext()

    def _lose(self, error: Exception) -> None:
        number = next(self._losses)
        self.lost = max(self.lost, number)
        if number == 1:
            _warn(f"the spool cannot be written, so records are lost: {error}")


def _warn(text: str) -> None:
    import logging  # noqa: PLC0415 — most programs never need it, and the import has to be quick

    logging.getLogger("claude_monitoring").warning("%s", text)


def _leave_a_mark(spool: Spool, event: str) -> None:
    with contextlib.suppress(OSError):
        name = f"{event}.sdk.{os.getpid()}.{threading.get_ident()}.{time.time_ns()}"
        (Path(spool.tmp) / name).touch(mode=0o600)
        (Path(spool.tmp) / name).rename(spool.new / name)
