"""The SDK's records as pydantic models, by the name of the spool event: ``sdk.measurement``, ``sdk.task``, ``sdk.span``, ``sdk.error``.

The SDK checks what it writes; this reads it as anything that comes from a file, since another version may have written it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claude_hooks_otel.sources.hook_payloads import PayloadError

PREFIX: Final = "sdk."
# The largest integer of the store.
_MOST: Final = 2**63 - 1

RecordId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]
Nanoseconds = Annotated[int, Field(ge=0, le=_MOST)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=256)]


class Record(BaseModel):
    """What every record has: its natural key and its time."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: RecordId
    at: Nanoseconds


class MeasurementRecord(Record):
    """One value of one metric, in the metric's own unit."""

    metric: Annotated[str, Field(pattern=r"^claude\.[a-z_][a-z0-9_.]{0,110}$")]
    kind: Literal["counter", "gauge", "histogram"]
    unit: Annotated[str, Field(max_length=40)]
    value: Annotated[int | float, Field(allow_inf_nan=False)]
    labels: dict[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")], Text] = {}


class TaskRecord(Record):
    """A task that began, or with ``ended`` one that is over."""

    name: Name
    parent: RecordId | None = None
    root: RecordId | None = None
    task_type: Text = "task"
    complexity: Annotated[int, Field(ge=1, le=1000)] | None = None
    started: Nanoseconds
    ended: Nanoseconds | None = None
    outcome: Literal["success", "failure"] | None = None


class SpanRecord(Record):
    """A span that is over."""

    name: Name
    label: Text
    parent: RecordId | None = None
    root: RecordId | None = None
    started: Nanoseconds
    ended: Nanoseconds
    outcome: Literal["success", "failure"]


class ErrorRecord(Record):
    """An exception's type."""

    type: Name
    labels: dict[Text, Text] = {}


_MODELS: Final[dict[str, type[Record]]] = {
    "sdk.measurement": MeasurementRecord,
    "sdk.task": TaskRecord,
    "sdk.span": SpanRecord,
    "sdk.error": ErrorRecord,
}


def parse(event: str, payload: bytes) -> Record:
    """Reads one record.

    Raises:
        PayloadError: it is none; the message never quotes its content.
    """
    model = _MODELS.get(event)
    if model is None:
        raise PayloadError(f"no record of the SDK: expected one of {', '.join(_MODELS)}")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the payload"
        raise PayloadError(f"no {event} record: {where}: {problem['type']}") from None
