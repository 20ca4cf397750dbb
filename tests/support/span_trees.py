"""The spans of recorded sessions, and as trees that people can read.

``python -m tests.support.span_trees`` writes the reviewed trees again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces.model import Span
from claude_hooks_otel.traces.session_facts import SessionFacts
from claude_hooks_otel.traces.spans import spans_of_turns
from tests.support.corpus import Scenario
from tests.support.places import DATA
from tests.support.replay import Replay, play

FOLDER = DATA / "span_trees"
KEPT = (
    "api-errors",
    "auto-compact",
    "background",
    "basic-edit",
    "clear",
    "forks",
    "mcp",
    "permissions",
    "resume",
    "statusline",
    "subagents",
    "teams",
    "tui-more",
)


def all_facts(replay: Replay) -> Iterator[SessionFacts]:
    """Yield the facts of each session."""
    for session in replay.core.facts.select(model.Session, "1 ORDER BY session_id"):
        facts = SessionFacts.of(replay.core.facts, session.session_id)
        assert facts is not None
        yield facts


def all_spans(replay: Replay) -> list[Span]:
    """Return the spans of all turns of all sessions."""
    return [span for facts in all_facts(replay) for spans in spans_of_turns(facts).spans.values() for span in spans]


def trees(spans: list[Span]) -> list[dict[str, Any]]:
    """Return the root spans. Each has its ids, its duration in milliseconds, its attributes and its children."""
    nodes = {(span.trace_id, span.span_id): _node(span) for span in spans}
    roots = []
    for span in spans:
        node = nodes[span.trace_id, span.span_id]
        if span.parent_id is None:
            roots.append({"trace": f"{span.trace_id:032x}", **node})
            nodes[span.trace_id, span.span_id] = roots[-1]
        else:
            nodes[span.trace_id, span.parent_id].setdefault("children", []).append(node)
    return roots


def _node(span: Span) -> dict[str, Any]:
    node: dict[str, Any] = {
        "span": f"{span.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value,
        "milliseconds": (span.end_ns - span.start_ns) / 1e6,
        "attributes": {
            name: list(value) if isinstance(value, tuple) else value for name, value in span.attributes.items()
        },
    }
    if span.error:
        node["error"] = span.error
    if span.events:
        node["events"] = [{"name": event.name, **event.attributes} for event in span.events]
    if span.links:
        node["links"] = [
            {"trace": f"{link.trace_id:032x}", "span": f"{link.span_id:016x}", **link.attributes} for link in span.links
        ]
    return node


def main() -> None:
    """Write the reviewed trees again. Somebody has to review the difference."""
    for name in KEPT:
        with tempfile.TemporaryDirectory() as folder:
            replay = play(Scenario(name), Path(folder))
            text = json.dumps(trees(all_spans(replay)), indent=1)
            replay.core.store.close()
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
