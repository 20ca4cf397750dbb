"""How things end: values of the labels ``outcome``, ``decision`` and ``error``. Standard library only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ToolOutcome(StrEnum):
    """How a tool call ended."""

    SUCCESS = "success"
    ERROR = "error"  # it ran and failed
    REJECTED = "rejected"  # a person said no
    DENIED = "denied"  # a rule, a hook or auto mode said no
    INTERRUPTED = "interrupted"  # it was stopped while it ran
    INVALID = "invalid"  # it never ran: unknown tool, bad input


class TaskOutcome(StrEnum):
    """How a program's task or span ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class SubagentOutcome(StrEnum):
    """How a sub-agent's turn ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"


class PermissionDecision(StrEnum):
    """How a permission request was answered."""

    ALLOWED = "allowed"
    REJECTED = "rejected"  # by a person
    DENIED = "denied"  # by a rule, or because the session was not interactive
    UNANSWERED = "unanswered"  # the client exited first


class TurnFailure(StrEnum):
    """Why a turn has no answer. Besides these, the label ``error`` has the client's names of API errors."""

    INTERRUPTED = "interrupted"  # a person stopped it
    KILLED = "killed"  # the client disappeared without a SessionEnd event
    ENDED = "ended"  # the client exited before the answer


class Damage(StrEnum):
    """What is wrong with a line of a transcript. With the first four, a record is lost."""

    CUT = "cut"  # a part of the line is not a complete record
    TOO_LONG = "too_long"  # the line needs more than 12 MiB
    FIELDS = "fields"  # a record without a required field
    ERROR = "error"  # a fault in this program
    FIELD = "field"  # an optional field of an unexpected type or range is left out
    NUL = "nul"  # NUL bytes are left out
    ENCODING = "encoding"  # bytes that are not UTF-8 are replaced


# The damage with which a record is lost.
LOSSES: Final = frozenset((Damage.CUT, Damage.TOO_LONG, Damage.FIELDS, Damage.ERROR))
