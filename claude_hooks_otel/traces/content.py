"""The attributes about prompts and the inputs and outputs of tools: length and digest, and the text if the user wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from claude_hooks_otel.facts import content
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Value

# Kind of text → (prefix of the attributes for length and digest, attribute for the text itself).
_NAMES: Final = MappingProxyType({
    content.PROMPT: (names.PROMPT_TEXT, names.PROMPT_TEXT),
    content.COMMAND: (names.COMMAND, names.COMMAND),
    content.PATH: (names.PATH, names.PATH),
    content.INPUT: (names.TOOL_INPUT, names.TOOL_ARGUMENTS),
    content.OUTPUT: (names.TOOL_OUTPUT, names.TOOL_RESULT),
})  # fmt: skip


def content_of(facts: Facts, owner_ids: Sequence[str]) -> Mapping[str, Mapping[str, Value]]:
    """Return the attributes about the texts of prompts and tool calls.

    Args:
        facts: where the texts are.
        owner_ids: prompt ids and ``tool_use_id``, mixed.

    Returns:
        Owner's id → attributes. ``….length`` is in characters, ``….sha256`` in hexadecimal digits, both of the whole text. If the text
        was captured, it is there too, redacted and cut. Owners without a known text are left out.
    """
    found: dict[str, dict[str, Value]] = {}
    for owner_id, kind, described in content.contents(facts, owner_ids):
        name, text_name = _NAMES[kind]
        attributes = found.setdefault(owner_id, {})
        attributes[f"{name}{names.LENGTH}"] = described["length"]
        attributes[f"{name}{names.SHA256}"] = described["sha256"]
        if "text" in described:
            attributes[text_name] = described["text"]
    return found
