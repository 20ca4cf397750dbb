"""One export by a stock exporter, whatever its signal: it never raises, and tells in words without secrets how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.otlp import Answer
from claude_hooks_otel.export.redaction import Redactor

# What can not even be encoded is bad by itself; the stock exporters over HTTP only log it.
_NOT_ENCODED = "Failed to encode"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one export ended.

    Attributes:
        ok: the receiver took the request.
        error: why it did not, or what it had to say to a request it took.
        is_unsendable: nobody was asked, because there was nothing that could be sent.
        duration_s: how long the export took, seconds, its retries included.
    """

    ok: bool
    error: str | None
    is_unsendable: bool
    duration_s: float


def attempt(send: Callable[[], bool], answer: Answer, redact: Redactor) -> Attempt:
    """Sends, and waits for the end of it.

    Args:
        send: has the exporter send; whether it says that it succeeded.
        answer: what the receiver said; cleared before.
        redact: takes secrets out of what is told.
    """
    begin = time.monotonic()
    answer.clear()
    exception = None
    with caught_logs() as logs:
        try:
            succeeded = send()
        except Exception as error:
            succeeded, exception = False, f"{type(error).__name__}: {error}"
    duration_s = time.monotonic() - begin
    if succeeded and answer.error is None:
        return Attempt(True, redact(answer.message) or None, False, duration_s)
    reason = answer.error or exception or (logs[-1].getMessage() if logs else "the exporter gave no reason")
    is_unsendable = answer.error is None and (exception is not None or reason.startswith(_NOT_ENCODED))
    return Attempt(False, redact(reason), is_unsendable, duration_s)
