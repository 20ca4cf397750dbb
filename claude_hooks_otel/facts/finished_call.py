"""A finished tool call, in the one form in which every source reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FinishedCall:
    """A tool call that ran to its end. Times are Unix nanoseconds.

    Attributes:
        tool_use_id: the call's id.
        session_id: the session that it belongs to.
        tool: the tool's name.
        arguments: the tool's input.
        result: the tool's response; for a failed call the text of the error. Of a sub-agent's call, a transcript has only the text
            that the model saw.
        succeeded: whether the call succeeded.
        ended_ns: when it ended.
        labels: the fields of its identity.
        began_ns: when it began. In a transcript that is when the model asked for it, so a wait for permission is included.
        is_timed: whether nothing but the call happened since ``began_ns``. A hook knows that.
        is_only_source: whether no hook reports the call.
        directory: the session's folder after the call.
        task_defaults: the owner's ``task_type`` and ``task_complexity``, for tasks that have none.
    """

    tool_use_id: str
    session_id: str
    tool: str
    arguments: Mapping[str, Any]
    result: Any
    succeeded: bool
    ended_ns: int
    labels: Mapping[str, Any]
    began_ns: int | None = None
    is_timed: bool = False
    is_only_source: bool = False
    directory: str | None = None
    task_defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def common_fields(self) -> dict[str, Any]:
        """The fields that most facts about the call share: session, time and identity."""
        return {"session_id": self.session_id, "at_ns": self.ended_ns, **self.labels}
