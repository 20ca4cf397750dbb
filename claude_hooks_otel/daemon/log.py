"""The daemon's log."""

from __future__ import annotations

import logging
import logging.handlers

from claude_hooks_otel.home.paths import Home

# Bytes after which the log is rotated, once.
LOG_BYTES = 1_000_000

_log = logging.getLogger("claude_hooks_otel.daemon")


def log_handler(home: Home) -> logging.Handler:
    """Return what writes the log of a home."""
    handler = logging.handlers.RotatingFileHandler(home.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


class Trouble:
    """Logs once that the store or the spool cannot be used, and once that it can be used again."""

    def __init__(self) -> None:
        self._last = ""

    def begin(self, error: Exception) -> None:
        """Note an error. It is logged unless it is the same as before."""
        said = str(error) or type(error).__name__
        if said != self._last:
            self._last = said
            _log.error("the store or the spool cannot be used for now, events wait in the spool: %s", said)

    def end(self) -> None:
        """Note that everything works."""
        if self._last:
            self._last = ""
            _log.info("the store and the spool can be used again")
