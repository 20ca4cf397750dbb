"""The reference page of the log events: ``python -m claude_hooks_otel.traces.reference > docs/events.md``."""

from __future__ import annotations

import sys

from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.event_kinds import KINDS, EventKind

_HEAD = f"""# Log events

One record for each thing that people search for, as OpenTelemetry log records with an event name. Written by
`python -m claude_hooks_otel.traces.reference`; [traces.md](traces.md) tells how they are made and delivered.

Every one carries `{names.SESSION}` and `{names.CONVERSATION}`, `{names.AGENT}`, `{names.PROJECT}` (`{names.TEAM}`, `{names.SPRINT}`
where set), the trace and span it belongs to, and `log.record.uid`, by which a copy can be told from a second event. Durations are
seconds. Attributes that are not known are left out.

| event | body | what it tells | further attributes |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(map(_row, KINDS))


def _row(kind: EventKind) -> str:
    body = f"“{kind.body}”"
    if kind.failed:
        severity = kind.severity.name
        body = f"“{kind.failed}” ({severity})" if kind.failed == kind.body else f"{body}, “{kind.failed}” ({severity})"
    listed = ", ".join(f"`{name}`" for name in kind.attributes)
    return f"| `{kind.name}` | {body} | {kind.meaning} | {listed} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
