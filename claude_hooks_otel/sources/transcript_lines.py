"""The lines of a transcript that tell facts, as pydantic models; every other line is skipped unread.

Transcripts are the client's own files and may change with any version: unknown types and fields are tolerated, and a line that
does not read as expected is None. Format as of Claude Code 2.1.330.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from claude_hooks_otel.units import unix_nanoseconds

# A cheap look before a line (they grow to megabytes) is parsed. It may let others pass; the parsed type decides.
_WANTED: Final = re.compile(rb'"type"\s*:\s*"(?:assistant|user|system|cost-state)"')
# How the line begins that the client writes where a human stopped a turn ("… by user", "… by user for tool use").
_INTERRUPTED: Final = "[Request interrupted by user"
# What a message written by the client itself (an API error shown as an answer) names as its model.
SYNTHETIC_MODEL: Final = "<synthetic>"


def _nanoseconds(value: Any) -> Any:
    return unix_nanoseconds(value) if isinstance(value, str) else value


# What an integer of the store can hold: up to the year 2262.
Nanoseconds = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_nanoseconds)]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class CacheCreation(BaseModel):
    """Tokens written to the prompt cache, by lifetime."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class ServerToolUse(BaseModel):
    """Uses of tools that run on the API's side."""

    web_search_requests: int | None = None


class Tokens(BaseModel):
    """Token counts, of an answer or of one iteration of it; ``output_tokens`` includes thinking."""

    type: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None

    @property
    def cache_write_1h(self) -> int:
        """Tokens written for an hour: never more than were written at all."""
        split = (self.cache_creation and self.cache_creation.ephemeral_1h_input_tokens) or 0
        return min(split, self.cache_creation_input_tokens or 0)

    @property
    def cache_write_5m(self) -> int:
        """Tokens written for five minutes; what is not split counts here, as in the client."""
        return (self.cache_creation_input_tokens or 0) - self.cache_write_1h


class Usage(Tokens):
    """The Messages API's ``usage``. A request that went round through the API's own tools has several ``iterations``."""

    iterations: list[Tokens] | None = None
    server_tool_use: ServerToolUse | None = None
    speed: str | None = None
    inference_geo: str | None = None

    @property
    def web_searches(self) -> int:
        """Searches that the API ran on its side."""
        return (self.server_tool_use and self.server_tool_use.web_search_requests) or 0

    @property
    def rounds(self) -> list[Tokens]:
        """The parts that the client prices each by itself: the iterations, where there are several."""
        rounds = [part for part in self.iterations or () if part.type == "message"]
        return rounds if len(rounds) > 1 else [self]


class Message(BaseModel):
    """The message of a line: an answer's id, model and usage, and its content blocks."""

    id: str | None = None
    model: str | None = None
    content: Any = None
    stop_reason: str | None = None
    usage: Usage | None = None

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """The content blocks of a type."""
        content = self.content if isinstance(self.content, list) else []
        return [block for block in content if isinstance(block, dict) and block.get("type") == kind]


class Line(_Model):
    """What conversation lines share. ``session_id`` is rewritten when a fork copies the line."""

    type: str
    session_id: str
    timestamp: Nanoseconds = 0
    uuid: str | None = None
    agent_id: str | None = None
    version: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    entrypoint: str | None = None


class AssistantLine(Line):
    """One content block of an answer; the usage of the whole answer is repeated on each."""

    message: Message
    request_id: str | None = None
    requested_model: str | None = None
    request_session_id: str | None = None
    attribution_agent: str | None = None
    is_api_error_message: bool = False
    error: str | None = None
    api_error_status: int | None = None

    @property
    def tool_uses(self) -> list[tuple[str, str, Any]]:
        """The tool calls that the answer asks for: ``tool_use_id``, the tool's name, its input."""
        return [
            (block["id"], block["name"], block.get("input"))
            for block in self.message.blocks("tool_use")
            if isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
        ]


class PermissionDecision(_Model):
    """How a tool call came to be allowed or refused."""

    decision: str | None = None
    source: str | None = None


class UserLine(Line):
    """A prompt, or the result of tool calls."""

    message: Message
    prompt_id: str | None = None
    prompt_source: str | None = None
    turn_origin: str | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    tool_use_result: Any = None
    tool_denial_kind: str | None = None
    tool_denial_before_run: bool | None = None
    permission_decision: PermissionDecision | None = None
    interrupted_message_id: str | None = None

    @property
    def tool_results(self) -> list[tuple[str, dict[str, Any]]]:
        """The results of tool calls in this line: ``tool_use_id`` and the content block."""
        return [
            (block["tool_use_id"], block)
            for block in self.message.blocks("tool_result")
            if isinstance(block.get("tool_use_id"), str)
        ]

    @property
    def is_interrupt(self) -> bool:
        """Whether it marks that a human stopped the turn."""
        content = self.message.content
        texts = [content] if isinstance(content, str) else [block.get("text") for block in self.message.blocks("text")]
        return any(isinstance(text, str) and text.startswith(_INTERRUPTED) for text in texts)

    @property
    def is_human_prompt(self) -> bool:
        """Whether a human typed this prompt (a slash command names no source), or a program passed it in."""
        if self.is_meta or self.is_compact_summary or self.turn_origin not in (None, "human", "sdk"):
            return False
        return self.prompt_source in ("typed", "sdk", "queued") or (
            self.prompt_source is None and self.turn_origin is not None
        )


class CompactMetadata(_Model):
    """What a compaction did."""

    trigger: str = "auto"
    pre_tokens: int | None = None


class SystemLine(Line):
    """The client's own remarks, by ``subtype``."""

    subtype: str | None = None
    compact_metadata: CompactMetadata | None = None


class ModelUsage(_Model):
    """One model's share of a ``cost-state``."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation_ephemeral_1h_input_tokens: int = Field(default=0, alias="cacheCreationEphemeral1hInputTokens")
    web_search_requests: int = 0
    cost: float | None = Field(default=None, alias="costUSD")


class CostStateLine(Line):
    """The client's account of a session, cumulative, written when a process ends.

    ``start_time``: Unix milliseconds; ``total_duration``: milliseconds over all processes of the account.
    """

    start_time: float
    total_duration: float = 0
    total_lines_added: int | None = None
    total_lines_removed: int | None = None
    model_usage: dict[str, ModelUsage] = {}


_MODELS: Final[dict[str, type[Line]]] = {
    "assistant": AssistantLine,
    "user": UserLine,
    "system": SystemLine,
    "cost-state": CostStateLine,
}


class UnreadableLineError(ValueError):
    """A complete line that is not what its type promises."""


def parse(line: bytes) -> Line | None:
    """Reads one line; None for a kind that tells no facts.

    Raises:
        UnreadableLineError: broken JSON, or a known type without its fields; the message quotes no content.
    """
    if not _WANTED.search(line):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UnreadableLineError("no complete JSON") from None
    kind = value.get("type") if isinstance(value, dict) else None
    if (model := _MODELS.get(str(kind))) is None:
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False)[:3])
        raise UnreadableLineError(f"a {kind} line without {fields}") from None
