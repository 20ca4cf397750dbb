"""The attributes that spans and log events have in common: whose they are, of which session, at which state of the code."""

from __future__ import annotations

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Value

# How the client names a tool of an MCP server: mcp__server__tool.
_MCP_PREFIX, _MCP_SEPARATOR = "mcp__", "__"


def common(session: model.Session, fact: model.Fact, operation: str | None = None) -> dict[str, Value]:
    """Session and identity; the fact's own labels, else the session's.

    Args:
        session: in which it was.
        fact: what is told of.
        operation: ``gen_ai.operation.name``, where it is one.
    """
    found: dict[str, Value] = {names.SESSION: session.session_id, names.CONVERSATION: session.session_id}
    if operation is not None:
        found |= {names.OPERATION: operation, names.PROVIDER: names.ANTHROPIC}
    whose = fact if fact.agent is not None else session
    return found | {names.IDENTITY[label]: value for label, value in whose.labels()}


def tool(call: model.ToolCall) -> dict[str, Value]:
    """What tool it was, and how the call ended."""
    name = call.tool or ""
    found: dict[str, Value] = {
        names.TOOL_NAME: name,
        names.TOOL_TYPE: names.FUNCTION,
        names.TOOL_CALL: call.tool_use_id,
        names.OUTCOME: call.outcome or "",
    }
    if name.startswith(_MCP_PREFIX):
        server, _, _ = name.removeprefix(_MCP_PREFIX).partition(_MCP_SEPARATOR)
        found |= {names.TOOL_TYPE: names.EXTENSION, names.MCP_METHOD: names.MCP_CALL, names.MCP_SERVER: server}
    return found


def compaction(mark: model.CompactBoundary) -> dict[str, Value]:
    """What brought it about."""
    return {names.TRIGGER: mark.trigger or "auto"}


def model_switch(switch: model.ModelSwitch) -> dict[str, Value]:
    """Which model answers from then on, and which did before, as far as the client told."""
    told = {names.REQUEST_MODEL: switch.to_model, names.PREVIOUS_MODEL: switch.from_model}
    return {name: value for name, value in told.items() if value}


def repository(turn: model.Turn) -> dict[str, Value]:
    """The repository and branch that a turn began in, where it was in one."""
    found: dict[str, Value] = {}
    if turn.repository:
        found[names.REPOSITORY] = turn.repository
    if turn.branch:
        found[names.BRANCH] = turn.branch
    return found


def commit(made: model.GitCommit) -> dict[str, Value]:
    """The commit that a call made; nothing where the client did not show which it was."""
    return {} if made.sha == made.tool_use_id else {names.REVISION: made.sha}
