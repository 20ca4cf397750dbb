"""The names of attributes, operations and log events: those of OpenTelemetry's conventions, and our own for everything else."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# semantic-conventions-genai 0.1.0. These conventions are in development, so a newer version may have other names.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"  # with the tokens read from and written to the cache
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 -- tokens of a model
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL: Final = "gen_ai.tool.call.id"
MCP_METHOD: Final = "mcp.method.name"
ERROR_TYPE: Final = "error.type"
SESSION: Final = "session.id"
TERMINAL: Final = "terminal.type"  # as in the client's own telemetry
# semantic-conventions 1.45, namespace vcs.
REPOSITORY: Final = "vcs.repository.name"
BRANCH: Final = "vcs.ref.head.name"
REVISION: Final = "vcs.ref.head.revision"

# Our own names, because the conventions have none.
AGENT: Final = "claude.agent"
PROJECT: Final = "claude.project"
TEAM: Final = "claude.team"
SPRINT: Final = "claude.sprint"
USER: Final = "claude.user"
MACHINE: Final = "claude.machine"
BRANCH_LABEL: Final = "claude.branch"
ORGANIZATION: Final = "claude.organization"
REQUEST: Final = "claude.request.id"
PROMPT: Final = "claude.prompt.id"
COST: Final = "claude.cost.usd"
SUBAGENT: Final = "claude.subagent.id"
DECISION: Final = "claude.permission.decision"
OUTCOME: Final = "claude.outcome"
TRIGGER: Final = "claude.compaction.trigger"
PREVIOUS_MODEL: Final = "claude.model.previous"
LINK: Final = "claude.link"
MCP_SERVER: Final = "claude.mcp.server"
DURATION: Final = "claude.duration"  # seconds
SOURCE: Final = "claude.session.source"
REASON: Final = "claude.session.end_reason"
TASK: Final = "claude.task.id"
TASK_TYPE: Final = "claude.task.type"
STORY_POINTS: Final = "claude.task.story_points"
ACTION: Final = "claude.action"
FRAMEWORK: Final = "claude.test.framework"
TESTS_PASSED: Final = "claude.test.passed"
TESTS_FAILED: Final = "claude.test.failed"
TESTS_SKIPPED: Final = "claude.test.skipped"

# Texts. By default, only the length in characters and the SHA-256 of each are sent.
LENGTH: Final = ".length"
SHA256: Final = ".sha256"
PROMPT_TEXT: Final = "claude.prompt"
COMMAND: Final = "claude.tool.command"
PATH: Final = "claude.tool.path"
TOOL_INPUT: Final = "claude.tool.input"
TOOL_OUTPUT: Final = "claude.tool.output"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"

ANTHROPIC: Final = "anthropic"
FUNCTION: Final = "function"  # run by the client itself
EXTENSION: Final = "extension"  # run by another program, for the client
MCP_CALL: Final = "tools/call"

# The names of log events. The last three are also events of a turn's root span.
EVENT_SESSION_START: Final = "claude.session.start"
EVENT_SESSION_END: Final = "claude.session.end"
EVENT_PROMPT: Final = "claude.prompt"
EVENT_TOOL_RESULT: Final = "claude.tool.result"
EVENT_API_ERROR: Final = "claude.api.error"
EVENT_PERMISSION_DECISION: Final = "claude.permission.decision"
EVENT_SUBAGENT: Final = "claude.subagent"
EVENT_TASK_CREATED: Final = "claude.task.created"
EVENT_TASK_COMPLETED: Final = "claude.task.completed"
EVENT_COMMIT: Final = "claude.commit"
EVENT_BRANCH: Final = "claude.branch"
EVENT_PULL_REQUEST: Final = "claude.pull_request"
EVENT_TEST_RUN: Final = "claude.test.run"
EVENT_COMPACTION: Final = "claude.compaction"
EVENT_MODEL_SWITCH: Final = "claude.model.switch"
EVENT_INTERRUPT: Final = "claude.interrupt"

# Label of a fact → attribute of its span.
IDENTITY: Final = MappingProxyType({
    "agent": AGENT, "project": PROJECT, "team": TEAM, "sprint": SPRINT,
    "user": USER, "machine": MACHINE, "branch": BRANCH_LABEL, "organization": ORGANIZATION,
})  # fmt: skip
