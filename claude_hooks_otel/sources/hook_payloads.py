"""Hook payloads as pydantic models: a union discriminated by ``hook_event_name``.

Field names and presence are those of Claude Code 2.1.330. Only what every payload has is required, everything else may be
missing; fields the models do not know are kept in ``model_extra`` and counted, and an event they do not know becomes
``OtherEvent``: a newer client is never an error.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

# What no event can do without; any other field of an unexpected type counts as missing.
_REQUIRED: Final = frozenset(("hook_event_name", "session_id"))
# Put behind the name of such a field: it is kept, and counted, as one that the models do not know.
UNEXPECTED: Final = ":unexpected"
# Thirty years: nanoseconds of it still fit into an integer of the store.
_MOST_MILLISECONDS: Final = 1e12
Milliseconds = Annotated[float, Field(ge=0, le=_MOST_MILLISECONDS, allow_inf_nan=False)]


class HookEvent(BaseModel):
    """What every hook payload carries."""

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
    """``source``: startup, resume, clear, compact or fork."""

    source: str = "startup"
    model: str | None = None
    session_title: str | None = None
    seconds_since_last_response: float | None = None
    context_tokens: int | None = None
    prompt_cache_likely_expired: bool | None = None
    estimated_cache_write_usd: float | None = None


class SessionEnd(HookEvent):
    """``reason``: clear, resume, logout, prompt_input_exit or other."""

    reason: str = "other"


class UserPromptSubmit(HookEvent):
    """Not only humans: task notifications arrive as prompts too."""

    prompt: str = ""
    source: str | None = None
    session_title: str | None = None

    @property
    def is_human(self) -> bool:
        """Whether somebody typed it (or a program passed it in), rather than a background task reporting back."""
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
    """A dialog is shown (or an automatic answer given); it carries no ``tool_use_id``."""

    tool_name: str = "unknown"
    tool_input: Any = None
    permission_suggestions: Any = None
    mcp_server: Any = None


class SubagentStart(HookEvent):
    """A turn of a sub-agent begins; again for every later turn of the same agent."""


class SubagentStop(HookEvent):
    """A turn of a sub-agent ends; ``agent_type`` is empty for the client's internal agents (compaction)."""

    agent_transcript_path: str | None = None
    stop_hook_active: bool | None = None
    last_assistant_message: str | None = None
    background_tasks: Any = None
    session_crons: Any = None


class Stop(HookEvent):
    """The main conversation's turn ended."""

    stop_hook_active: bool | None = None
    last_assistant_message: str | None = None
    background_tasks: Any = None
    session_crons: Any = None


class StopFailure(HookEvent):
    """A turn (of a sub-agent, where ``agent_id`` is set) ended in an API error."""

    error: str = "unknown"
    error_details: str | None = None
    last_assistant_message: str | None = None


class TaskEvent(HookEvent):
    """``task_id`` counts per session; the subject is the one before the change."""

    task_id: str = ""
    task_subject: str = ""
    task_description: str | None = None
    teammate_name: str | None = None
    team_name: str | None = None


class TaskCreated(TaskEvent):
    """About to be stored: another hook may still refuse it."""


class TaskCompleted(TaskEvent):
    """About to be completed."""


class TeammateIdle(HookEvent):
    """A teammate of an agent team has nothing to do."""

    teammate_name: str | None = None
    team_name: str | None = None


class PreCompact(HookEvent):
    """Compaction begins (and may fail)."""

    trigger: str = "auto"
    custom_instructions: str | None = None


class PostCompact(HookEvent):
    """Compaction succeeded."""

    trigger: str = "auto"
    compact_summary: str | None = None


class PostModelSwitch(HookEvent):
    """Another model answers from here on."""

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
    """An instruction file (CLAUDE.md, a rule) entered the context."""

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
    """An event these models do not know."""


_KNOWN: Final[dict[str, type[HookEvent]]] = {
    model.__name__: model
    for model in (
        SessionStart, SessionEnd, UserPromptSubmit, PostToolUse, PostToolUseFailure, PermissionDenied, PermissionRequest,
        SubagentStart, SubagentStop, Stop, StopFailure, TaskCreated, TaskCompleted, TeammateIdle, PreCompact, PostCompact,
        PostModelSwitch, InstructionsLoaded, Notification,
    )
}  # fmt: skip


def _tag(value: Any) -> str:
    name = value.get("hook_event_name") if isinstance(value, dict) else getattr(value, "hook_event_name", None)
    return name if isinstance(name, str) and name in _KNOWN else "OtherEvent"


AnyHookEvent = Annotated[
    Annotated[SessionStart, Tag("SessionStart")]
    | Annotated[SessionEnd, Tag("SessionEnd")]
    | Annotated[UserPromptSubmit, Tag("UserPromptSubmit")]
    | Annotated[PostToolUse, Tag("PostToolUse")]
    | Annotated[PostToolUseFailure, Tag("PostToolUseFailure")]
    | Annotated[PermissionDenied, Tag("PermissionDenied")]
    | Annotated[PermissionRequest, Tag("PermissionRequest")]
    | Annotated[SubagentStart, Tag("SubagentStart")]
    | Annotated[SubagentStop, Tag("SubagentStop")]
    | Annotated[Stop, Tag("Stop")]
    | Annotated[StopFailure, Tag("StopFailure")]
    | Annotated[TaskCreated, Tag("TaskCreated")]
    | Annotated[TaskCompleted, Tag("TaskCompleted")]
    | Annotated[TeammateIdle, Tag("TeammateIdle")]
    | Annotated[PreCompact, Tag("PreCompact")]
    | Annotated[PostCompact, Tag("PostCompact")]
    | Annotated[PostModelSwitch, Tag("PostModelSwitch")]
    | Annotated[InstructionsLoaded, Tag("InstructionsLoaded")]
    | Annotated[Notification, Tag("Notification")]
    | Annotated[OtherEvent, Tag("OtherEvent")],
    Discriminator(_tag),
]
_adapter: TypeAdapter[HookEvent] = TypeAdapter(AnyHookEvent)


class PayloadError(ValueError):
    """A payload that is no hook event; the message says what is missing and never quotes content."""


def parse(payload: bytes) -> HookEvent:
    """Reads one payload. Broken UTF-8 is replaced rather than refused, a field of an unexpected type kept as an unknown one.

    Raises:
        PayloadError: empty, no JSON object, or without a session or an event name.
    """
    if not payload.strip():
        raise PayloadError("the payload is empty")
    try:
        return _adapter.validate_json(payload)
    except ValidationError:
        pass
    try:  # once more, forgiving
        return _forgiving(_cleaned(json.loads(payload.decode(errors="replace"))))
    except RecursionError:
        raise PayloadError("the payload is nested too deeply") from None
    except ValueError as error:
        raise PayloadError(_reason(error)) from None


def _forgiving(value: Any) -> HookEvent:
    """The event, with what is not of the expected type put under another name."""
    try:
        return _adapter.validate_python(value)
    except ValidationError as error:
        wrong = {str(item["loc"][1]) for item in error.errors(include_input=False) if len(item["loc"]) > 1}
        if not wrong or wrong & _REQUIRED:
            raise
        return _adapter.validate_python(
            {f"{key}{UNEXPECTED}" if key in wrong else key: item for key, item in value.items()}
        )


def _cleaned(value: Any) -> Any:
    """The value without lone surrogates, which no UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return value


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, item['loc'][1:])) or 'payload'}: {item['type']}"
            for item in error.errors(include_input=False)[:3]
        )
    return "the payload is no complete JSON"
