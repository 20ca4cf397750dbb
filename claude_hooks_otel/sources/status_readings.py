"""What a status line hands on (``sources.status_input``), as a pydantic model."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claude_hooks_otel.sources.hook_payloads import PayloadError
from claude_hooks_otel.sources.records import parsed, without_surrogates
from claude_hooks_otel.sources.tolerant import read_tolerantly
from claude_hooks_otel.units import LARGEST_INTEGER, SECOND

# The most dollars, lines and tokens of one session that are believed: far more than there can be, and few enough for the store.
_MOST: Final = 1e6
Dollars = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Percent = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, lt=LARGEST_INTEGER // SECOND, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Cost(_Part):
    """What the client counted for the session so far."""

    total_cost_usd: Dollars | None = None
    total_lines_added: Count | None = None
    total_lines_removed: Count | None = None


class ContextWindow(_Part):
    """How full the context window is, and its size in tokens."""

    used_percentage: Percent | None = None
    context_window_size: Count | None = None


class Window(_Part):
    """One limit of the account: how much is used, and when it begins again, seconds since the epoch."""

    used_percentage: Percent | None = None
    resets_at: Seconds | None = None


class StatusReading(_Part):
    """The status of a session at a time.

    Attributes:
        at: when the status line was run, Unix nanoseconds.
        rate_limits: the name of a limit, such as ``five_hour`` or ``seven_day`` → what is known of it.
    """

    at: Annotated[int, Field(gt=0, le=LARGEST_INTEGER)]
    session_id: Annotated[str, Field(min_length=1, max_length=4096)]
    transcript_path: Text | None = None
    cwd: Text | None = None
    model: Text | None = None
    cost: Cost = Cost()
    context_window: ContextWindow = ContextWindow()
    rate_limits: Annotated[dict[str, Window], Field(max_length=16)] = {}


def parse(payload: bytes) -> StatusReading:
    """Read one status. A field with an unexpected type or range is left out.

    Raises:
        PayloadError: it is no JSON object, or has no session or time. The message never quotes the payload.
    """
    try:
        value: Any = without_surrogates(parsed(payload))
        if not isinstance(value, dict):
            raise PayloadError("the status is no JSON object")
        return read_tolerantly(StatusReading.model_validate, value)[0]
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise PayloadError(f"invalid status: {where}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError("the status is not valid JSON") from None
