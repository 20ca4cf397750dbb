"""The events of the client's own telemetry about a replayed scenario."""

from __future__ import annotations

from typing import Any

from tests.support.known_differences import LEFT_OUT
from tests.support.replay import Replay


def telemetry_events(replay: Replay, name: str) -> list[dict[str, Any]]:
    """Return the events of a name, of the sessions that the client's telemetry and ours both cover."""
    return [
        event
        for session, events in replay.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for event in events[name]
    ]


def subagent_in_telemetry(replay: Replay, event: dict[str, Any]) -> str | None:
    """Return the sub-agent that an event of the client's telemetry names.

    It never names a teammate. In the client's own spans, the call that started the teammate encloses the event.
    """
    if "agent_id" in event:
        return str(event["agent_id"])
    name = event.get("tool_use_id") or event.get("request_id")
    spans = [span for events in replay.scenario.truth["sessions"].values() for span in events.get("spans", ())]
    return next((replay.scenario.teammates.get(span["within"]) for span in spans if span["id"] == name), None)
