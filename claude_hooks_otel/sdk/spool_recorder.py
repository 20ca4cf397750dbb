"""Records into the spool: one file a record, through the same door as the hooks. Standard library only."""

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

# Errors after which an empty file may still be made: it tells the daemon that a record was lost for want of room.
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


class SpoolRecorder:
    """Writes records that the daemon takes in whenever it runs.

    Safe for threads and across ``fork``: a file's name holds the process that writes it, and there is nothing to flush.

    Args:
        home: whose spool; None asks the environment, as hooks do.
    """

    def __init__(self, home: Home | None = None) -> None:
        self._losses = itertools.count(1)  # no lock: a fork while another thread held it would lock the child for ever
        self.lost = 0
        try:
            self._spool: Spool | None = Spool((home or Home.from_environment()).spool)
        except RuntimeError as error:
            self._spool = None
            self._lose(error)

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Writes one record; trouble with the spool is counted and logged once, never raised."""
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

    def open(self, name: str) -> None:  # noqa: ARG002 — a recorder with a tracer has something to open
        """Spans need no beginning here: one record at their end tells it all."""
        return

    def _lose(self, error: Exception) -> None:
        number = next(self._losses)
        self.lost = max(self.lost, number)
        if number > 1:
            return
        import logging  # noqa: PLC0415 — most programs never need it, and starting has to be quick

        logging.getLogger("claude_monitoring").warning(
            "the spool can not be written, what is recorded is lost until it can: %s", error
        )


def _leave_a_mark(spool: Spool, event: str) -> None:
    with contextlib.suppress(OSError):
        name = f"{event}.sdk.{os.getpid()}.{threading.get_ident()}.{time.time_ns()}"
        (Path(spool.tmp) / name).touch(mode=0o600)
        (Path(spool.tmp) / name).rename(spool.new / name)


class NullRecorder:
    """Records nothing: ``AgentMonitor(..., export_to_grafana=False)``; what is misuse stays misuse."""

    lost = 0

    def record(self, event: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Does nothing."""

    def open(self, name: str) -> None:
        """Does nothing."""
