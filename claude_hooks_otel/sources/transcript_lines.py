"""The transcript lines that contain facts, as msgspec structs. All other lines are skipped.

The format is that of Claude Code 2.1.330. It may change with any version, so unknown types and fields are ignored. An optional field of an
unexpected type or range is left out, and costs nothing else.
"""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Final

from msgspec import Meta, MsgspecError, Struct, ValidationError, field
from msgspec.json import Decoder

from claude_hooks_otel.metrics.outcomes import Damage
from claude_hooks_otel.sources.records import read_records
from claude_hooks_otel.sources.tolerant import convert_tolerantly, missing_field
from claude_hooks_otel.units import LARGEST_INTEGER, unix_nanoseconds

# A cheap test before a line, which may have megabytes, is parsed. It may match other lines too. The parsed type decides.
_WANTED: Final = re.compile(rb'"type"\s*:\s*"(assistant|user|system|cost-state)"')
# The client writes a line that begins like this when a human stops a turn ("… by user", "… by user for tool use").
_INTERRUPTED: Final = "[Request interrupted by user"
_SIDE_ROUNDS: Final = ("advisor_message", "compaction")
# The model of a message that the client itself wrote, for example of an API error that it shows as an answer.
SYNTHETIC_MODEL: Final = "<synthetic>"


# The client whose hooks name their prompt.
PROMPT_IDS_SINCE: Final = (2, 1, 196)


@functools.lru_cache(maxsize=64)
def _number(version: str | None) -> tuple[int, ...]:
    """Return a version as numbers; the newest possible if it is unknown."""
    parts = (version or "").split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() and len(part) < 10 for part in parts) else (sys.maxsize,)


# No request has more tokens. With this bound, its cost in picodollars fits into an integer of the store.
Count = Annotated[int, Meta(ge=0, le=10_000_000_000)]
# An id. An empty one identifies nothing.
Id = Annotated[str, Meta(min_length=1)]
# A number that can be converted to nanoseconds or picodollars.
Amount = Annotated[float, Meta(ge=0, le=1e12)]
# Unix milliseconds.
Milliseconds = Annotated[float, Meta(ge=0, le=9e12)]


class CacheCreation(Struct):
    """Tokens written to the prompt cache, by lifetime."""

    ephemeral_1h_input_tokens: Count | None = None


class ServerToolUse(Struct):
    """Uses of the API's own tools."""

    web_search_requests: Count | None = None


class Tokens(Struct):
    """Token counts of an answer or of one of its iterations. ``output_tokens`` includes thinking."""

    type: str | None = None
    model: Id | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None

    @property
    def cache_write_1h(self) -> int:
        """Tokens written to the cache for an hour, at most all that were written."""
        split = (self.cache_creation and self.cache_creation.ephemeral_1h_input_tokens) or 0
        return min(split, self.cache_creation_input_tokens or 0)

    @property
    def cache_write_5m(self) -> int:
        """Tokens written to the cache for five minutes. Tokens without a lifetime count here, as in the client."""
        return (self.cache_creation_input_tokens or 0) - self.cache_write_1h


class Usage(Tokens):
    """The Messages API's ``usage``. A request that used the API's own tools has several ``iterations``."""

    iterations: list[Tokens] | None = None
    server_tool_use: ServerToolUse | None = None
    speed: str | None = None
    inference_geo: str | None = None

    @property
    def web_searches(self) -> int:
        """Web searches of the API's own tool."""
        return (self.server_tool_use and self.server_tool_use.web_search_requests) or 0

    @property
    def rounds(self) -> list[Tokens]:
        """The parts that the client prices separately: the iterations, if there are several."""
        rounds = [part for part in self.iterations or () if part.type == "message"]
        return rounds if len(rounds) > 1 else [self]

    @property
    def side_rounds(self) -> list[tuple[int, Tokens]]:
        """The iterations that the usage itself does not contain, each with its place: an advisor's answers, compactions."""
        return [(place, part) for place, part in enumerate(self.iterations or ()) if part.type in _SIDE_ROUNDS]


class Message(Struct):
    """The message of a line: its content blocks, and of an answer also id, model and usage."""

    id: Id | None = None
    model: Id | None = None
    content: Any = None
    stop_reason: str | None = None
    usage: Usage | None = None

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """Return the content blocks of a type."""
        content = self.content if isinstance(self.content, list) else []
        return [block for block in content if isinstance(block, dict) and block.get("type") == kind]


class Line(Struct, rename="camel", kw_only=True):
    """The fields of all lines. When a fork copies a line, it replaces ``session_id``.

    Attributes:
        written: the line's time as it is written.
        timestamp: the same in Unix nanoseconds, from ``parse``; 0 if it has none.
    """

    type: str
    session_id: Id
    written: str | int = field(default=0, name="timestamp")
    timestamp: int = field(default=0, name="")
    uuid: Id | None = None
    parent_uuid: Id | None = None
    agent_id: Id | None = None
    version: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    entrypoint: str | None = None


class AssistantLine(Line):
    """One content block of an answer. Each of an answer's lines repeats the usage of the whole answer."""

    message: Message
    request_id: Id | None = None
    requested_model: Id | None = None
    request_session_id: Id | None = None
    attribution_agent: str | None = None
    is_api_error_message: bool = False
    error: str | None = None

    @property
    def tool_uses(self) -> list[tuple[str, str, Any]]:
        """The tool calls that the answer asks for: ``tool_use_id``, name of the tool, input."""
        return [
            (block["id"], block["name"], block.get("input"))
            for block in self.message.blocks("tool_use")
            if isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
        ]


class PermissionDecision(Struct, rename="camel"):
    """Who allowed or refused a tool call, and how."""

    decision: str | None = None
    source: str | None = None


class UserLine(Line):
    """A prompt, or the result of tool calls."""

    message: Message
    prompt_id: Id | None = None
    prompt_source: str | None = None
    turn_origin: str | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    tool_use_result: Any = None
    tool_denial_kind: str | None = None
    tool_denial_before_run: bool | None = None
    permission_decision: PermissionDecision | None = None

    @property
    def hooks_name_prompts(self) -> bool:
        """Whether the hooks of the client that wrote this line name the prompt, too. Older clients' hooks do not."""
        return _number(self.version) >= PROMPT_IDS_SINCE

    @property
    def tool_results(self) -> list[tuple[str, dict[str, Any]]]:
        """The results of tool calls: ``tool_use_id`` and content block."""
        return [
            (block["tool_use_id"], block)
            for block in self.message.blocks("tool_result")
            if isinstance(block.get("tool_use_id"), str)
        ]

    @property
    def is_interrupt(self) -> bool:
        """Whether a human stopped the turn here."""
        content = self.message.content
        texts = [content] if isinstance(content, str) else [block.get("text") for block in self.message.blocks("text")]
        return any(isinstance(text, str) and text.startswith(_INTERRUPTED) for text in texts)

    @property
    def is_human_prompt(self) -> bool:
        """Whether a human typed this prompt, or a program passed it in. A slash command has no ``prompt_source``."""
        if self.is_meta or self.is_compact_summary or self.turn_origin not in (None, "human", "sdk"):
            return False
        return self.prompt_source in ("typed", "sdk", "queued") or (
            self.prompt_source is None and self.turn_origin is not None
        )


class CompactMetadata(Struct, rename="camel"):
    """What triggered a compaction."""

    trigger: str = "auto"


class SystemLine(Line):
    """A line about the conversation itself. ``subtype`` says what it is about."""

    subtype: str | None = None
    compact_metadata: CompactMetadata | None = None


class ModelUsage(Struct, rename="camel"):
    """The part of a ``cost-state`` for one model."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    cache_creation_ephemeral_1h_input_tokens: Count = field(default=0, name="cacheCreationEphemeral1hInputTokens")
    web_search_requests: Count = 0
    cost: Amount | None = field(default=None, name="costUSD")


class CostStateLine(Line):
    """The client's cumulative account of a session, written when a process ends.

    ``start_time`` is in Unix milliseconds. ``total_duration`` is in milliseconds, over all processes of the account.
    """

    start_time: Milliseconds
    total_duration: Milliseconds = 0
    model_usage: dict[str, ModelUsage] = {}


_KINDS: Final[dict[str, type[Line]]] = {
    "assistant": AssistantLine,
    "user": UserLine,
    "system": SystemLine,
    "cost-state": CostStateLine,
}
_decoders: Final = {kind.encode(): Decoder(line).decode for kind, line in _KINDS.items()}


@dataclass(slots=True)
class Parsed:
    """What was read from one line of a file.

    Attributes:
        records: its records with facts. A damaged line can hold several.
        damage: what was wrong, once for each time.
        details: the same in words, without any content: ``assistant.message.usage.speed:unexpected``.
    """

    records: tuple[Line, ...] = ()
    damage: tuple[Damage, ...] = ()
    details: tuple[str, ...] = ()


_NOTHING: Final = Parsed()


def parse(raw: bytes) -> Parsed:
    """Read one line of a transcript. Never raises."""
    if (kind := _WANTED.search(raw)) is None:
        return _NOTHING
    try:
        line = _timed(_decoders[kind[1]](raw))
    except (MsgspecError, ValueError, RecursionError):
        return _parse_damaged(raw)
    # The type that was found first may be that of a part of the line.
    return Parsed((line,)) if line.type == kind[1].decode() else _parse_damaged(raw)


def _timed(line: Line) -> Line:
    """Set the line's time.

    Raises:
        ValueError: it is none, or does not fit into an integer of the store.
    """
    line.timestamp = unix_nanoseconds(line.written) if isinstance(line.written, str) else line.written
    if not 0 <= line.timestamp <= LARGEST_INTEGER:
        raise ValueError("the time is out of range")
    return line


def _parse_damaged(raw: bytes) -> Parsed:
    """Read everything of a line that can be read: records that are complete, and their fields of the expected type."""
    found = read_records(raw)
    records: list[Line] = []
    damage, details = list(found.damage), []
    for value in found.values:
        kind = value.get("type")
        if (line := _KINDS.get(kind) if isinstance(kind, str) else None) is None:
            continue
        try:
            record, left_out = convert_tolerantly(line, value)
        except ValidationError as error:
            damage.append(Damage.FIELDS)
            details.append(f"{kind}.{missing_field(error)}:missing")
            continue
        try:
            _timed(record)
        except ValueError:
            record.timestamp, left_out = 0, (*left_out, "timestamp")
        records.append(record)
        damage += [Damage.FIELD] * len(left_out)
        details += [f"{kind}.{name}:unexpected" for name in left_out]
    return Parsed(tuple(records), tuple(damage), tuple(details))
