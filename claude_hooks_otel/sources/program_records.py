"""Program records, which the SDK writes into the spool. Each event name has a model.

The SDK checks what it writes. The models check it again, because a file may come from another version or another writer.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claude_hooks_otel.metrics.definition import Kind
from claude_hooks_otel.metrics.outcomes import TaskOutcome
from claude_hooks_otel.sources.hook_payloads import PayloadError
from claude_hooks_otel.units import LARGEST_INTEGER

PREFIX: Final = "sdk."

RecordId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]
Nanoseconds = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=256)]


class ProgramRecord(BaseModel):
    """The fields of every program record.

    Attributes:
        id: the natural key.
        at: when it was written, in Unix nanoseconds.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: RecordId
    at: Nanoseconds


class MeasurementRecord(ProgramRecord):
    """One value of one metric, in the metric's own unit."""

    metric: Annotated[str, Field(pattern=r"^claude\.[a-z_][a-z0-9_.]{0,110}$")]
    kind: Kind
    unit: Annotated[str, Field(max_length=40)]
    value: Annotated[int | float, Field(allow_inf_nan=False)]
    labels: dict[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")], Text] = {}


class TaskRecord(ProgramRecord):
    """A task that began, and with ``ended``, a task that is over."""

    name: Name
    parent: RecordId | None = None
    root: RecordId | None = None
    task_type: Text = "task"
    complexity: Annotated[int, Field(ge=1, le=1000)] | None = None
    started: Nanoseconds
    ended: Nanoseconds | None = None
    outcome: TaskOutcome | None = None


class SpanRecord(ProgramRecord):
    """A span that is over."""

    name: Name
    label: Text
    parent: RecordId | None = None
    root: RecordId | None = None
    started: Nanoseconds
    ended: Nanoseconds
    outcome: TaskOutcome


class ErrorRecord(ProgramRecord):
    """The type of an exception."""

    type: Name
    labels: dict[Text, Text] = {}


_MODELS: Final[dict[str, type[ProgramRecord]]] = {
    "sdk.measurement": MeasurementRecord,
    "sdk.task": TaskRecord,
    "sdk.span": SpanRecord,
    "sdk.error": ErrorRecord,
}


def parse(event: str, payload: bytes) -> ProgramRecord:
    """Read one program record.

    Args:
        event: the event name of the spool file, for example ``sdk.measurement``.
        payload: JSON.

    Raises:
        PayloadError: the event name or the payload is invalid. The message never quotes the payload.
    """
    model = _MODELS.get(event)
    if model is None:
        raise PayloadError(f"unknown program record: expected one of {', '.join(_MODELS)}")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the payload"
        raise PayloadError(f"invalid {event} record: {where}: {problem['type']}") from None
