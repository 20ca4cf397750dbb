"""The attributes that spans and log events have in common."""

from __future__ import annotations

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics.labels import MAX_LABEL_LENGTH, all_identity_labels
from claude_hooks_otel.sources.call_ids import call_id_of
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Value

# The client names the tools of MCP servers mcp__server__tool.
_MCP_PREFIX, _MCP_SEPARATOR = "mcp__", "__"


def common(session: model.Session, fact: model.Fact, operation: str | None = None) -> dict[str, Value]:
    """Return session and identity: the labels of the fact, or of its session if the fact has none.

    Args:
        session: the session of the fact.
        fact: the fact that the span or log event shows.
        operation: ``gen_ai.operation.name``, if the conventions have a name for it.
    """
    found: dict[str, Value] = {names.SESSION: session.session_id, names.CONVERSATION: session.session_id}
    if operation is not None:
        found |= {names.OPERATION: operation, names.PROVIDER: names.ANTHROPIC}
    labeled = fact if fact.agent is not None else session
    return found | {names.IDENTITY[label]: value for label, value in all_identity_labels(labeled)}


def terminal(session: model.Session) -> dict[str, Value]:
    """Return the terminal in which the client runs, if it has told its name."""
    return _known({names.TERMINAL: (session.terminal or "")[:MAX_LABEL_LENGTH]})


def tool(call: model.ToolCall) -> dict[str, Value]:
    """Return which tool was called, and how the call ended."""
    name = call.tool or ""
    found: dict[str, Value] = {
        names.TOOL_NAME: name,
        names.TOOL_TYPE: names.FUNCTION,
        names.TOOL_CALL: call_id_of(call.tool_use_id),
        names.OUTCOME: call.outcome or "",
    }
    if name.startswith(_MCP_PREFIX):
        server, _, _ = name.removeprefix(_MCP_PREFIX).partition(_MCP_SEPARATOR)
        found |= {names.TOOL_TYPE: names.EXTENSION, names.MCP_METHOD: names.MCP_CALL, names.MCP_SERVER: server}
    return found


def compaction(boundary: model.CompactBoundary) -> dict[str, Value]:
    """Return what triggered a compaction."""
    return {names.TRIGGER: boundary.trigger or "auto"}


def model_switch(switch: model.ModelSwitch) -> dict[str, Value]:
    """Return the new model and the previous one, if they are known."""
    return _known({names.REQUEST_MODEL: switch.to_model, names.PREVIOUS_MODEL: switch.from_model})


def repository(turn: model.Turn) -> dict[str, Value]:
    """Return the repository and branch in which a turn began, if there were any."""
    return _known({names.REPOSITORY: turn.repository, names.BRANCH: turn.branch})


def commit(made: model.GitCommit) -> dict[str, Value]:
    """Return the hash of a commit. It is unknown if the client did not show it."""
    return {} if made.sha == made.tool_use_id else {names.REVISION: made.sha}


def _known(given: dict[str, str | None]) -> dict[str, Value]:
    return {name: value for name, value in given.items() if value}
