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
        self._losses = itertools.count(1)  # not a lock: if a thread holds one during a fork, the child never gets it
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

    def open(self, name: str) -> contextlib.AbstractContextManager[Any]:  # noqa: ARG002
        """Return a context that does nothing: the record at the end of a task or span says everything."""
        return contextlib.nullcontext()

    def _lose(self, error: Exception) -> None:
        number = next(self._losses)
        self.lost = max(self.lost, number)
        if number > 1:
            return
        import logging  # noqa: PLC0415 — most programs never need it, and the import has to be quick

        logging.getLogger("claude_monitoring").warning("the spool cannot be written, so records are lost: %s", error)


def _leave_a_mark(spool: Spool, event: str) -> None:
    with contextlib.suppress(OSError):
        name = f"{event}.sdk.{os.getpid()}.{threading.get_ident()}.{time.time_ns()}"
        (Path(spool.tmp) / name).touch(mode=0o600)
        (Path(spool.tmp) / name).rename(spool.new / name)
