"""Recognizes files with guidance for agents: skills, commands, sub-agents, rules, memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The places in which Claude Code looks for guidance, and in which teams usually keep patterns. A plugin can contain skills.
_GUIDANCE = re.compile(
    r"(?:^|[/\\])(?:"
    r"\.claude[/\\](?:commands|agents|rules|output-styles)[/\\].+\.md"
    r"|skills[/\\].+[/\\]SKILL\.md"
    r"|CLAUDE(?:\.local)?\.md|AGENTS\.md"
    r"|patterns[/\\].+\.md"
    r")$"
)
# The start of the text that the model sees. A sub-agent's transcript has no other result.
_CREATED = "File created successfully"


def extracts_pattern(tool: str, tool_input: Mapping[str, Any], tool_response: Any) -> bool:
    """Return whether a finished call created a file with guidance."""
    path = tool_input.get("file_path")
    if tool != "Write" or not isinstance(path, str) or not _GUIDANCE.search(path):
        return False
    if isinstance(tool_response, Mapping):
        return tool_response.get("type") == "create"
    return isinstance(tool_response, str) and tool_response.startswith(_CREATED)
