"""The log events of a replayed scenario."""

from __future__ import annotations

from claude_hooks_otel.traces.log_events import events_of
from claude_hooks_otel.traces.model import LogEvent
from tests.support.replay import Replay
from tests.support.span_trees import all_facts


def all_events(replay: Replay) -> list[LogEvent]:
    """Return the log events of all sessions."""
    return [event for facts in all_facts(replay) for event in events_of(facts).events]
