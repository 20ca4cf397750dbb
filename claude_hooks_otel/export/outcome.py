"""How an export ends: whether the endpoint accepted the batch, and if not, what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final


class Status(Enum):
    """What the endpoint said to a batch. It decides what happens to the batch."""

    ACCEPTED = auto()
    TOO_LARGE = auto()  # send it in smaller batches
    REFUSED = auto()  # the batch is bad and stays bad
    FAILED = auto()  # the endpoint broke: either it or the batch may be bad
    UNSERVED = auto()  # the endpoint does not take this signal
    UNAVAILABLE = auto()  # send it again later


# The OTLP specification ("Failures") says which codes mean that the request must not be retried as it is. It does not say which of
# them are about the content, and which about the sender or the address. That choice is ours.
_STATUSES: Final[Mapping[int | str, Status]] = {
    400: Status.REFUSED,
    422: Status.REFUSED,
    413: Status.TOO_LARGE,
    404: Status.UNSERVED,
    405: Status.UNSERVED,
    501: Status.UNSERVED,
    500: Status.FAILED,
    "INVALID_ARGUMENT": Status.REFUSED,
    "UNIMPLEMENTED": Status.UNSERVED,
    "UNKNOWN": Status.FAILED,
    "INTERNAL": Status.FAILED,
    "DATA_LOSS": Status.FAILED,
    "FAILED_PRECONDITION": Status.FAILED,  # Grafana Tempo answers this for a trace that is full
}
# HTTP and gRPC have one code each for missing or invalid credentials (RFC 9110, section 15.5.2; gRPC, "Status codes").
_UNAUTHENTICATED: Final = (401, "UNAUTHENTICATED")
# gRPC has no code for a message that is too large. These are the codes and texts of its libraries and of a proxy.
_TOO_LARGE: Final = (
    ("RESOURCE_EXHAUSTED", "larger than"),  # C, Go, Node
    ("RESOURCE_EXHAUSTED", "exceeds maximum size"),  # Java
    ("RESOURCE_EXHAUSTED", "exceeds the maximum configured message size"),  # .NET
    ("RESOURCE_EXHAUSTED", "exceeded while decompressing"),  # Rust
    ("OUT_OF_RANGE", "message length too large"),  # Rust
    ("UNKNOWN", "http2 header with status: 413"),  # a proxy
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one export ended.

    Attributes:
        status: what happens to the batch.
        error: why the batch was not accepted, or the receiver's message about an accepted batch.
        rejected: points, spans or log records in an accepted batch that the receiver refused for good.
        duration_s: how long the export took, in seconds, with its retries.
        retry_after_s: the pause before the next export that the receiver asked for, in seconds; 0 if it asked for none.
        is_unauthenticated: whether the receiver did not know who sends: the credentials are wrong, missing or expired.
    """

    status: Status
    error: str | None = None
    rejected: int = 0
    duration_s: float = 0.0
    retry_after_s: float = 0.0
    is_unauthenticated: bool = False

    @property
    def ok(self) -> bool:
        """Whether the batch was accepted. An accepted batch must not be sent again."""
        return self.status is Status.ACCEPTED


def not_accepted(code: int | str | None, error: str) -> Outcome:
    """Return the outcome of a request that was not accepted.

    Args:
        code: the HTTP status, or the name of the gRPC status; None if no answer came.
        error: the reason.
    """
    if any(code == known and text in error for known, text in _TOO_LARGE):
        return Outcome(Status.TOO_LARGE, error)
    status = Status.UNAVAILABLE if code is None else _STATUSES.get(code, Status.UNAVAILABLE)
    return Outcome(status, error, is_unauthenticated=code in _UNAUTHENTICATED)


def accepted(response: Any) -> Outcome:
    """Return the outcome of an accepted request, from the response of its OTLP service.

    Each service has its own name for the number of rejected parts. Source: OTLP specification, "Partial Success".
    """
    partial = response.partial_success
    counts = (value for field, value in partial.ListFields() if field.name.startswith("rejected_"))
    rejected = max(0, next(counts, 0))
    unexplained = f"{rejected} items of a batch were rejected without a reason" if rejected else None
    return Outcome(Status.ACCEPTED, partial.error_message or unexplained, rejected)
