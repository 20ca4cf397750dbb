"""What the task tools say: when a task is created, its type, its story points, and when it is completed.

The tools' own calls are read, not the TaskCreated and TaskCompleted events. Those fire before the change is stored, so another hook may
still refuse it, and they carry no metadata. The transcript holds the same calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from claude_hooks_otel.facts.model import Fact, Task
from claude_hooks_otel.metrics.labels import normalize

# The type of a task that names none.
DEFAULT_TYPE = "task"
DEFAULT_POINTS = 1
# More story points than this are a typing error.
MOST_POINTS = 1000

# Conventional prefixes of a subject ("fix: ...", "[bug] ...", "feat(api): ...") and their types.
_PREFIXES = {
    "feat": "feature", "feature": "feature", "fix": "bug", "bug": "bug", "bugfix": "bug", "hotfix": "bug", "docs": "docs",
    "doc": "docs", "test": "test", "tests": "test", "refactor": "refactor", "perf": "performance", "chore": "chore",
    "build": "chore", "ci": "chore", "style": "chore", "review": "review", "research": "research", "spike": "research",
}  # fmt: skip
# The text that the model sees: "Task #2 created successfully: …", "Updated task #1 status".
_CREATED = re.compile(r"Task #(\S+) created")
_UPDATED = re.compile(r"Updated task #(\S+)\b.*\bstatus")
# Points in a subject's prefix: "[5] …", "feat(5): …", "[bug][3 pts] …".
_SUBJECT_POINTS = re.compile(
    r"\s*(?:\[[A-Za-z]+\]|[A-Za-z]+)?\s*[\[(]\s*(\d{1,4})\s*(?:sp|pts?|points?)?\s*[\])]", re.IGNORECASE
)
_SUBJECT = re.compile(r"\s*\[?([A-Za-z]+)\]?(?:\s?\([^)]*\)|\s?\[[^\]]*\])?!?\s*[:\]]")


def task_facts(
    tool: str,
    tool_input: Mapping[str, Any],
    tool_response: Any,
    session_id: str,
    at_ns: int,
    labels: Mapping[str, Any],
    headers: Mapping[str, str],
) -> list[Fact]:
    """Return the facts of one successful TaskCreate or TaskUpdate call; none for any other tool.

    Args:
        tool: the tool's name.
        tool_input: its input.
        tool_response: its response; a text if a sub-agent's transcript has nothing else.
        session_id: whose task list it is.
        at_ns: when the call ended, Unix nanoseconds.
        labels: the identity's labels.
        headers: of the hook's envelope: the owner's ``task_type`` and ``task_complexity``.
    """
    if isinstance(tool_response, str):
        tool_response = _told_by_text(tool, tool_input, tool_response)
    if not isinstance(tool_response, dict):
        return []
    if tool == "TaskCreate":
        task = tool_response.get("task")
        if isinstance(task, dict) and "id" in task:
            return [_created(tool_input, task, session_id, at_ns, labels, headers)]
    if tool == "TaskUpdate" and tool_response.get("success") is True:
        return _updated(tool_input, tool_response, session_id, at_ns, labels)
    return []


def _created(
    tool_input: Mapping[str, Any],
    task: Mapping[str, Any],
    session_id: str,
    at_ns: int,
    labels: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Task:
    metadata = tool_input.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    subject = str(tool_input.get("subject") or task.get("subject") or "")
    complexity = (
        _number(metadata.get("complexity")) or _subject_points(subject) or _number(headers.get("task_complexity"))
    )
    return Task(
        session_id=session_id,
        task_id=str(task["id"]),
        created_ns=at_ns,
        task_type=_task_type(metadata, subject, headers),
        story_points=_points(metadata, subject, headers),
        complexity=complexity,
        introduced_by=_introduced_by(metadata),
        **labels,
    )


def _updated(
    tool_input: Mapping[str, Any],
    tool_response: Mapping[str, Any],
    session_id: str,
    at_ns: int,
    labels: Mapping[str, Any],
) -> list[Fact]:
    change = tool_response.get("statusChange")
    status = change.get("to") if isinstance(change, dict) else None
    owner = tool_input.get("owner")
    if status not in ("in_progress", "completed") and not owner:
        return []
    return [
        Task(
            session_id=session_id,
            task_id=str(tool_response.get("taskId", "")),
            started_ns=at_ns if status == "in_progress" else None,
            completed_ns=at_ns if status == "completed" else None,
            owner=normalize(owner) if isinstance(owner, str) and owner else None,
            **labels,
        )
    ]


def _told_by_text(tool: str, tool_input: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """Return what the text that the model saw says about the response."""
    if tool == "TaskCreate" and (created := _CREATED.match(text)):
        return {"task": {"id": created[1]}}
    if tool == "TaskUpdate" and (updated := _UPDATED.match(text)):
        return {"success": True, "taskId": updated[1], "statusChange": {"to": tool_input.get("status")}}
    return None


def _task_type(metadata: Mapping[str, Any], subject: str, headers: Mapping[str, str]) -> str:
    for name in ("type", "task_type", "taskType"):
        if isinstance(metadata.get(name), str) and metadata[name]:
            value = normalize(metadata[name])
            return _PREFIXES.get(value, value)
    if (found := _SUBJECT.match(subject)) and (kind := _PREFIXES.get(found[1].lower())):
        return kind
    return normalize(headers.get("task_type"), DEFAULT_TYPE)


def _points(metadata: Mapping[str, Any], subject: str, headers: Mapping[str, str]) -> int:
    for name in ("story_points", "storyPoints", "points", "complexity"):
        if points := _number(metadata.get(name)):
            return points
    return _subject_points(subject) or _number(headers.get("task_complexity")) or DEFAULT_POINTS


def _subject_points(subject: str) -> int | None:
    found = _SUBJECT_POINTS.match(subject)
    return _number(found[1]) if found else None


def _introduced_by(metadata: Mapping[str, Any]) -> str | None:
    """Return the agent that a bug's task blames."""
    name = metadata.get("introduced_by") or metadata.get("introducedBy")
    return normalize(name) if isinstance(name, str) and name else None


def _number(value: object) -> int | None:
    """Return a positive whole number of points from JSON or an environment variable; None for anything else."""
    try:
        number = round(float(str(value)))
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= MOST_POINTS else None
