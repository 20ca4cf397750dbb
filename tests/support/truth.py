"""What the client's own telemetry says about a replayed scenario."""

from __future__ import annotations

from typing import Any

from tests.support.known_differences import LEFT_OUT
from tests.support.replay import Replay


def told(replay: Replay, event: str) -> list[dict[str, Any]]:
    """What the client's telemetry says in these events, of the sessions both can see."""
    return [
        event_told
        for session, events in replay.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for event_told in events[event]
    ]


def told_agent(replay: Replay, told: dict[str, Any]) -> str | None:
    """Which sub-agent an event of the client's says it was.

    It never names a teammate: that is the one whose call encloses the event's in the client's own spans.
    """
    if "agent_id" in told:
        return str(told["agent_id"])
    name = told.get("tool_use_id") or told.get("request_id")
    spans = [span for events in replay.scenario.truth["sessions"].values() for span in events.get("spans", ())]
    return next((replay.scenario.teammates.get(span["within"]) for span in spans if span["id"] == name), None)
