"""Which files hold guidance that agents load again: skills, commands, sub-agents, rules, memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Where Claude Code looks for guidance (a plugin may contain a skill's folder), and where teams commonly keep their patterns.
_GUIDANCE = re.compile(
    r"(?:^|[/\\])(?:"
    r"\.claude[/\\](?:commands|agents|rules|output-styles)[/\\].+\.md"
    r"|skills[/\\].+[/\\]SKILL\.md"
    r"|CLAUDE(?:\.local)?\.md|AGENTS\.md"
    r"|patterns[/\\].+\.md"
    r")$"
)
# The text that the model sees. A sub-agent's transcript has nothing else of the result.
_CREATED = "File created successfully"


def extracts_pattern(tool: str, tool_input: Mapping[str, Any], tool_response: Any) -> bool:
    """Whether a finished call wrote new guidance: a Write that created a file which agents load again."""
    path = tool_input.get("file_path")
    if tool != "Write" or not isinstance(path, str) or not _GUIDANCE.search(path):
        return False
    if isinstance(tool_response, Mapping):
        return tool_response.get("type") == "create"
    return isinstance(tool_response, str) and tool_response.startswith(_CREATED)
