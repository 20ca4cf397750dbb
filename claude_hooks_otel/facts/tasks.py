"""Facts about tasks: when a task is created and completed, its type and its story points.

They come from the calls of the task tools, which transcripts have as well. The TaskCreated and TaskCompleted events are not used: they
fire before the change is stored, so another hook may still refuse it, and they carry no metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.model import Task
from claude_hooks_otel.metrics.labels import normalize

# The type of a task without one.
DEFAULT_TYPE = "task"
DEFAULT_POINTS = 1
# A larger number of story points is taken for a typing error.
MOST_POINTS = 1000

# The prefixes of a subject ("fix: …", "[bug] …", "feat(api): …") and their types. Source: Conventional Commits.
_PREFIXES = {
    "feat": "feature", "feature": "feature", "fix": "bug", "bug": "bug", "bugfix": "bug", "hotfix": "bug", "docs": "docs",
    "doc": "docs", "test": "test", "tests": "test", "refactor": "refactor", "perf": "performance", "chore": "chore",
    "build": "chore", "ci": "chore", "style": "chore", "review": "review", "research": "research", "spike": "research",
}  # fmt: skip
# What the model sees of the result: "Task #2 created successfully: …", "Updated task #1 status".
_CREATED = re.compile(r"Task #(\S+) created")
_UPDATED = re.compile(r"Updated task #(\S+)\b.*\bstatus")
# Points in a subject's prefix: "[5] …", "feat(5): …", "[bug][3 pts] …".
_SUBJECT_POINTS = re.compile(
    r"\s*(?:\[[A-Za-z]+\]|[A-Za-z]+)?\s*[\[(]\s*(\d{1,4})\s*(?:sp|pts?|points?)?\s*[\])]", re.IGNORECASE
)
_SUBJECT = re.compile(r"\s*\[?([A-Za-z]+)\]?(?:\s?\([^)]*\)|\s?\[[^\]]*\])?!?\s*[:\]]")


def task_facts(call: FinishedCall) -> Iterator[Task]:
    """Yield the facts of a successful TaskCreate or TaskUpdate call; nothing for any other tool."""
    response = _response_in_text(call, call.result) if isinstance(call.result, str) else call.result
    if not isinstance(response, dict):
        return
    if call.tool == "TaskCreate":
        task = response.get("task")
        if isinstance(task, dict) and "id" in task:
            yield _created(call, task)
    elif call.tool == "TaskUpdate" and response.get("success") is True:
        yield from _updated(call, response)


def _created(call: FinishedCall, task: Mapping[str, Any]) -> Task:
    metadata = call.arguments.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    subject = str(call.arguments.get("subject") or task.get("subject") or "")
    points = _subject_points(subject) or _number(call.task_defaults.get("task_complexity"))
    in_metadata = (_number(metadata.get(name)) for name in ("story_points", "storyPoints", "points", "complexity"))
    return Task(
        session_id=call.session_id,
        task_id=str(task["id"]),
        created_ns=call.ended_ns,
        task_type=_task_type(metadata, subject, call.task_defaults.get("task_type")),
        story_points=next(filter(None, in_metadata), points or DEFAULT_POINTS),
        complexity=_number(metadata.get("complexity")) or points,
        introduced_by=_name(metadata.get("introduced_by") or metadata.get("introducedBy")),
        **call.labels,
    )


def _updated(call: FinishedCall, response: Mapping[str, Any]) -> Iterator[Task]:
    change = response.get("statusChange")
    status = change.get("to") if isinstance(change, dict) else None
    owner = call.arguments.get("owner")
    if status in ("in_progress", "completed") or owner:
        yield Task(
            session_id=call.session_id,
            task_id=str(response.get("taskId", "")),
            started_ns=call.ended_ns if status == "in_progress" else None,
            completed_ns=call.ended_ns if status == "completed" else None,
            owner=_name(owner),
            **call.labels,
        )


def _response_in_text(call: FinishedCall, text: str) -> dict[str, Any] | None:
    """Return the response that the text for the model describes; None if it describes none."""
    if call.tool == "TaskCreate" and (created := _CREATED.match(text)):
        return {"task": {"id": created[1]}}
    if call.tool == "TaskUpdate" and (updated := _UPDATED.match(text)):
        return {"success": True, "taskId": updated[1], "statusChange": {"to": call.arguments.get("status")}}
    return None


def _task_type(metadata: Mapping[str, Any], subject: str, default: str | None) -> str:
    for name in ("type", "task_type", "taskType"):
        if isinstance(metadata.get(name), str) and metadata[name]:
            value = normalize(metadata[name])
            return _PREFIXES.get(value, value)
    if (found := _SUBJECT.match(subject)) and (kind := _PREFIXES.get(found[1].lower())):
        return kind
    return normalize(default, DEFAULT_TYPE)


def _subject_points(subject: str) -> int | None:
    found = _SUBJECT_POINTS.match(subject)
    return _number(found[1]) if found else None


def _name(value: object) -> str | None:
    """Return the normalized name of an agent; None for anything else."""
    return normalize(value) if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    """Return a positive whole number from JSON or an environment variable; None for anything else."""
    try:
        number = round(float(str(value)))
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= MOST_POINTS else None
