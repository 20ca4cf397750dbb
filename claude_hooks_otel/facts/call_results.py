"""How a tool call ended, and what it returned, as a transcript line shows it."""

from __future__ import annotations

import re
from typing import Any

from claude_hooks_otel.metrics.outcomes import ToolOutcome
from claude_hooks_otel.sources import transcript_lines as lines

# The kinds of denial that mean that the call ran until the client was killed or exited. A resume writes them.
_STOPPED = ("interrupted", "cancelled")

# The result of a command that a signal ended: SIGINT, SIGKILL or SIGTERM. If the client's own limit ended it, the result says so.
_KILLED_COMMAND = re.compile(r"(?:Error: )?Exit code 1(?:30|37|43)\b(?!\s*Command timed out)")


def text_of(content: Any) -> str:
    """Return the text blocks of a message as one text."""
    if isinstance(content, str):
        return content
    texts = [block.get("text") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def output_of(line: lines.UserLine, block: dict[str, Any]) -> Any:
    """Return what a hook reports as the response or the error. A sub-agent's transcript has only the text for the model."""
    if block.get("is_error") is True or line.tool_use_result is None:
        return block.get("content")
    return line.tool_use_result


def outcome_of(line: lines.UserLine, block: dict[str, Any]) -> ToolOutcome | None:
    """Return how a call ended, from its result in the transcript; None if its command was killed, because the client may have exited."""
    if block.get("is_error") is not True:
        return ToolOutcome.SUCCESS
    decision = line.permission_decision
    content = block.get("content")
    if decision and decision.decision == "reject":
        return ToolOutcome.REJECTED if decision.source == "user_reject" else ToolOutcome.DENIED
    if line.tool_denial_kind == "user-rejected":
        return ToolOutcome.REJECTED if line.tool_denial_before_run else ToolOutcome.INTERRUPTED
    if line.tool_denial_kind in _STOPPED:
        return ToolOutcome.INTERRUPTED
    if line.tool_denial_kind:
        return ToolOutcome.DENIED
    if isinstance(content, str) and content.startswith("<tool_use_error>"):
        return ToolOutcome.INVALID
    if isinstance(content, str) and _KILLED_COMMAND.match(content):
        return None
    return ToolOutcome.ERROR
