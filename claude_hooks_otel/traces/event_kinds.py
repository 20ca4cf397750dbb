"""The kinds of log event: their names, bodies and attributes. ``docs/events.md`` is generated from this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Severity


@dataclass(frozen=True, slots=True)
class EventKind:
    """What all events of one name have in common.

    Attributes:
        name: the event's name.
        body: the body, for people. If the action can fail, the body of a success.
        meaning: a sentence for the documentation.
        attributes: the attributes besides session and identity. Unknown ones are left out.
        failed: the body of a failure.
        severity: the severity of a failure.
    """

    name: str
    body: str
    meaning: str
    attributes: tuple[str, ...] = ()
    failed: str = ""
    severity: Severity = Severity.INFO


KINDS: Final[tuple[EventKind, ...]] = (
    EventKind(
        names.EVENT_SESSION_START, "session started", "A session began or was resumed.",
        (names.SOURCE,),
    ),
    EventKind(
        names.EVENT_SESSION_END, "session ended", "A session ended, or its process disappeared.",
        (names.REASON, names.DURATION), "session was killed", Severity.WARN,
    ),
    EventKind(
        names.EVENT_PROMPT, "prompt", "A human, or a program in place of a human, entered a prompt.", (names.PROMPT,)
    ),
    EventKind(
        names.EVENT_TOOL_RESULT, "tool succeeded", "A tool call ended, successfully or not.",
        (names.TOOL_NAME, names.TOOL_TYPE, names.TOOL_CALL, names.OUTCOME, names.DURATION, names.SUBAGENT, names.MCP_METHOD,
         names.MCP_SERVER, names.ERROR_TYPE), "tool did not succeed", Severity.WARN,
    ),
    EventKind(
        names.EVENT_API_ERROR, "request failed", "The API answered a request with an error, or not at all.",
        (names.REQUEST_MODEL, names.ERROR_TYPE, names.REQUEST, names.SUBAGENT), "request failed", Severity.ERROR,
    ),
    EventKind(
        names.EVENT_PERMISSION_DECISION, "permission given", "A human, a rule or a hook decided whether a tool may run.",
        (names.TOOL_NAME, names.TOOL_CALL, names.DECISION, names.DURATION), "permission refused", Severity.WARN,
    ),
    EventKind(
        names.EVENT_SUBAGENT, "sub-agent finished", "A turn of a sub-agent ended.",
        (names.AGENT_NAME, names.SUBAGENT, names.OUTCOME, names.DURATION), "sub-agent did not finish", Severity.WARN,
    ),
    EventKind(
        names.EVENT_TASK_CREATED, "task created", "An entry was added to a task list.",
        (names.TASK, names.TASK_TYPE, names.STORY_POINTS),
    ),
    EventKind(
        names.EVENT_TASK_COMPLETED, "task completed", "An entry of a task list was completed.",
        (names.TASK, names.TASK_TYPE, names.STORY_POINTS, names.DURATION),
    ),
    EventKind(
        names.EVENT_COMMIT, "commit", "A git commit was created.", (names.ACTION, names.REVISION, names.TOOL_CALL)
    ),
    EventKind(names.EVENT_BRANCH, "branch created", "A git branch was created.", (names.TOOL_CALL,)),
    EventKind(
        names.EVENT_PULL_REQUEST, "pull request", "A pull request was created or changed.", (names.ACTION, names.TOOL_CALL)
    ),
    EventKind(
        names.EVENT_TEST_RUN, "tests passed", "A test suite ran.",
        (names.FRAMEWORK, names.OUTCOME, names.TESTS_PASSED, names.TESTS_FAILED, names.TESTS_SKIPPED, names.TOOL_CALL),
        "tests did not pass", Severity.WARN,
    ),
    EventKind(names.EVENT_COMPACTION, "conversation compacted", "A conversation was compacted.", (names.TRIGGER,)),
    EventKind(
        names.EVENT_MODEL_SWITCH, "model switched", "A running session switched to another model.",
        (names.REQUEST_MODEL, names.PREVIOUS_MODEL),
    ),
    EventKind(
        names.EVENT_INTERRUPT, "turn interrupted", "A human stopped a turn.", (names.PROMPT,), "turn interrupted",
        Severity.WARN,
    ),
)  # fmt: skip

BY_NAME: Final[Mapping[str, EventKind]] = MappingProxyType({kind.name: kind for kind in KINDS})
