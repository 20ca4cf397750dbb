"""Hook payloads as pydantic models, one for each ``hook_event_name``.

The fields are those of Claude Code 2.1.330. A newer client is never an error. Only the fields that every payload has are required.
Unknown fields are kept in ``model_extra`` and counted. An unknown event becomes an ``OtherEvent``.
"""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from claude_hooks_otel.sources.records import without_surrogates
from claude_hooks_otel.sources.tolerant import read_tolerantly

# The suffix for the name of a field with an unexpected type. The field is kept and counted as an unknown one.
UNEXPECTED: Final = ":unexpected"
# Thirty years. As nanoseconds, this still fits into an integer of the store.
_MOST_MILLISECONDS: Final = 1e12
Milliseconds = Annotated[float, Field(ge=0, le=_MOST_MILLISECONDS, allow_inf_nan=False)]


class HookEvent(BaseModel):
    """The fields of every hook payload."""

    model_config = ConfigDict(extra="allow", frozen=True)

    hook_event_name: str
    session_id: str
    transcript_path: str | None = None
    cwd: str | None = None
    prompt_id: str | None = None
    permission_mode: str | None = None
    agent_id: str | None = None
    agent_type: str | None = None
    effort: Any = None
    scratchpad_dir: str | None = None


class SessionStart(HookEvent):
    """A session begins or continues. ``source`` is startup, resume, clear, compact or fork."""

    source: str = "startup"
    model: str | None = None
    session_title: str | None = None
    seconds_since_last_response: float | None = None
    context_tokens: int | None = None
    prompt_cache_likely_expired: bool | None = None
    estimated_cache_write_usd: float | None = None


class SessionEnd(HookEvent):
    """A session ends. ``reason`` is clear, resume, logout, prompt_input_exit or other."""

    reason: str = "other"


class UserPromptSubmit(HookEvent):
    """A prompt, of a human or of a background task that reports back."""

    prompt: str = ""
    source: str | None = None
    session_title: str | None = None

    @property
    def is_human(self) -> bool:
        """Whether a human typed the prompt or a program passed it in. Otherwise, a background task reports back."""
        return not self.prompt.lstrip().startswith("<task-notification>")


class ToolEvent(HookEvent):
    """A finished tool call."""

    tool_name: str = "unknown"
    tool_input: Any = None
    tool_use_id: str | None = None
    duration_ms: Milliseconds | None = None
    mcp_server: Any = None


class PostToolUse(ToolEvent):
    """A tool call that succeeded."""

    tool_response: Any = None


class PostToolUseFailure(ToolEvent):
    """A tool call that ran and failed."""

    error: str | None = None
    is_interrupt: bool | None = None


class PermissionDenied(ToolEvent):
    """A tool call that auto mode refused."""

    reason: str | None = None


class PermissionRequest(HookEvent):
    """The client shows a dialog or answers automatically. The payload has no ``tool_use_id``."""

    tool_name: str = "unknown"
    tool_input: Any = None
    permission_suggestions: Any = None
    mcp_server: Any = None


class SubagentStart(HookEvent):
    """A turn of a sub-agent begins, the first one or a later one."""


class Stop(HookEvent):
    """A turn of the main conversation ends."""

    stop_hook_active: bool | None = None
    last_assistant_message: str | None = None
    background_tasks: Any = None
    session_crons: Any = None


class SubagentStop(Stop):
    """A turn of a sub-agent ends. ``agent_type`` is empty for the client's internal agents, for example for compaction."""

    agent_transcript_path: str | None = None


class StopFailure(HookEvent):
    """A turn ended in an API error. If ``agent_id`` is set, it was a turn of a sub-agent."""

    error: str = "unknown"
    error_details: str | None = None
    last_assistant_message: str | None = None


class TaskEvent(HookEvent):
    """A change of a task. ``task_id`` is unique within its session. ``task_subject`` is the subject before the change."""

    task_id: str = ""
    task_subject: str = ""
    task_description: str | None = None
    teammate_name: str | None = None
    team_name: str | None = None


class TaskCreated(TaskEvent):
    """A task is about to be stored. Another hook may still refuse it."""


class TaskCompleted(TaskEvent):
    """A task is about to be completed."""


class TeammateIdle(HookEvent):
    """A teammate of an agent team has nothing to do."""

    teammate_name: str | None = None
    team_name: str | None = None


class PreCompact(HookEvent):
    """Compaction begins. It may fail."""

    trigger: str = "auto"
    custom_instructions: str | None = None


class PostCompact(HookEvent):
    """Compaction succeeded."""

    trigger: str = "auto"
    compact_summary: str | None = None


class PostModelSwitch(HookEvent):
    """From now on, another model answers."""

    from_model: str | None = None
    to_model: str | None = None
    requested_model: str | None = None
    source: str | None = None
    context_tokens: int | None = None
    prompt_cache_warm: bool | None = None
    cache_ttl: str | None = None
    estimated_cache_write_usd: float | None = None
    pricing: str | None = None


class InstructionsLoaded(HookEvent):
    """An instruction file (CLAUDE.md, a rule) was loaded into the context."""

    file_path: str | None = None
    memory_type: str | None = None
    load_reason: str | None = None
    globs: Any = None
    trigger_file_path: str | None = None
    parent_file_path: str | None = None


class Notification(HookEvent):
    """The session waits for attention."""

    message: str | None = None
    title: str | None = None
    notification_type: str | None = None


class OtherEvent(HookEvent):
    """An event without a model of its own."""


_MODELS: Final[dict[str, type[HookEvent]]] = {
    model.__name__: model
    for model in (
        SessionStart, SessionEnd, UserPromptSubmit, PostToolUse, PostToolUseFailure, PermissionDenied, PermissionRequest,
        SubagentStart, SubagentStop, Stop, StopFailure, TaskCreated, TaskCompleted, TeammateIdle, PreCompact, PostCompact,
        PostModelSwitch, InstructionsLoaded, Notification, OtherEvent,
    )
}  # fmt: skip


def _tag(value: Any) -> str:
    name = value.get("hook_event_name") if isinstance(value, dict) else getattr(value, "hook_event_name", None)
    return name if isinstance(name, str) and name in _MODELS else "OtherEvent"


_AnyEvent: Any = reduce(or_, (Annotated[model, Tag(name)] for name, model in _MODELS.items()))
_adapter: TypeAdapter[HookEvent] = TypeAdapter(Annotated[_AnyEvent, Discriminator(_tag)])


class PayloadError(ValueError):
    """A payload is not a hook event. The message says what is missing, and never quotes the payload."""


def parse(payload: bytes) -> HookEvent:
    """Read one payload. Broken UTF-8 is replaced. A field of an unexpected type is kept as an unknown field.

    Raises:
        PayloadError: the payload is empty, is not a JSON object, or has no session or event name.
    """
    if not payload.strip():
        raise PayloadError("the payload is empty")
    try:
        return _adapter.validate_json(payload)
    except ValidationError:
        pass
    try:  # once more, tolerant of broken UTF-8 and unexpected types
        return _tolerant(without_surrogates(json.loads(payload.decode(errors="replace"))))
    except RecursionError:
        raise PayloadError("the payload is nested too deeply") from None
    except ValueError as error:
        raise PayloadError(_reason(error)) from None


def _tolerant(value: Any) -> HookEvent:
    """Return the event. Fields of an unexpected type get another name."""
    event, wrong = read_tolerantly(_adapter.validate_python, value, skip=1)
    if not wrong:
        return event
    return _adapter.validate_python(
        {f"{key}{UNEXPECTED}" if key in wrong else key: item for key, item in value.items()}
    )


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, item['loc'][1:])) or 'payload'}: {item['type']}"
            for item in error.errors(include_input=False)[:3]
        )
    return "the payload is not complete JSON"
