"""What the task tools say: a task's birth, type, story points and completion.

The tools' own calls are read, not the TaskCreated and TaskCompleted events: those fire before the change is stored (another hook
may refuse it) and carry no metadata; the transcript holds the same calls as a second witness.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from claude_hooks_otel.facts.model import Fact, Task
from claude_hooks_otel.metrics.labels import normalize

# What a task is when nobody says.
DEFAULT_TYPE = "task"
DEFAULT_POINTS = 1
# Story points beyond this are a typing error, not a task.
MOST_POINTS = 1000

# Conventional prefixes of a subject ("fix: ...", "[bug] ...", "feat(api): ...") and the type each stands for.
_PREFIXES = {
    "feat": "feature", "feature": "feature", "fix": "bug", "bug": "bug", "bugfix": "bug", "hotfix": "bug", "docs": "docs",
    "doc": "docs", "test": "test", "tests": "test", "refactor": "refactor", "perf": "performance", "chore": "chore",
    "build": "chore", "ci": "chore", "style": "chore", "review": "review", "research": "research", "spike": "research",
}  # fmt: skip
# What the model is shown: "Task #2 created successfully: …", "Updated task #1 status".
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
    """The task facts of one successful TaskCreate or TaskUpdate call; nothing for any other tool.

    Args:
        tool: the tool's name.
        tool_input: what it was asked.
        tool_response: what it answered; a text where a sub-agent's transcript has nothing else.
        session_id: whose task list it is.
        at_ns: when the call ended, Unix nanoseconds.
        labels: the identity's labels.
        headers: of the hook's envelope: the owner's ``task_type`` and ``task_complexity``.
    """
    if isinstance(tool_response, str):
        tool_response = _told_by_text(tool, tool_input, tool_response)
    if not isinstance(tool_response, dict):
        return []
    metadata = tool_input.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if tool == "TaskCreate":
        task = tool_response.get("task")
        if not isinstance(task, dict) or "id" not in task:
            return []
        subject = str(tool_input.get("subject") or task.get("subject") or "")
        return [
            Task(
                session_id=session_id,
                task_id=str(task["id"]),
                created_ns=at_ns,
                task_type=_task_type(metadata, subject, headers),
                story_points=_points(metadata, subject, headers),
                complexity=_number(metadata.get("complexity"))
                or _subject_points(subject)
                or _number(headers.get("task_complexity")),
                introduced_by=_introduced_by(metadata),
                **labels,
            )
        ]
    if tool == "TaskUpdate" and tool_response.get("success") is True:
        change = tool_response.get("statusChange")
        status = change.get("to") if isinstance(change, dict) else None
        owner = tool_input.get("owner")
        if status in ("in_progress", "completed") or owner:
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
    return []


def _told_by_text(tool: str, tool_input: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """The response, as far as the words that the model was shown tell it."""
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
    """The agent that a bug's task blames."""
    name = metadata.get("introduced_by") or metadata.get("introducedBy")
    return normalize(name) if isinstance(name, str) and name else None


def _number(value: object) -> int | None:
    """A positive whole number of points, from JSON or an environment variable; None for anything else."""
    try:
        number = round(float(str(value)))
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= MOST_POINTS else None
