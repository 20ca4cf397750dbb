"""The terminal of a client is a label of ``claude_client_info``, and an attribute of the spans of turns."""

from __future__ import annotations

from pathlib import Path

from claude_hooks_otel.facts import model
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.traces import attributes
from tests.support.machine import START_NS, Machine

WHOSE = {"agent": "backend", "project": "shop"}


def test_the_version_entrypoint_and_terminal_of_clients_in_use_are_shown(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.core.store.transaction():
        for number, terminal in enumerate(("iTerm.app", "vscode", None)):
            session = model.Session(
                session_id=str(number), first_seen_ns=START_NS, last_seen_ns=START_NS, client_version="2.1.330",
                entrypoint="cli", terminal=terminal, **WHOSE,
            )  # fmt: skip
            machine.core.facts.upsert(session)
    found = [
        dict(point.labels)
        for point in gauges(machine.core.facts, START_NS + 1)
        if point.metric.prometheus_name == "claude_client_info"
    ]
    common = WHOSE | {"version": "2.1.330", "entrypoint": "cli"}
    assert sorted(found, key=str) == sorted(
        (common | {"terminal_type": name} for name in ("iterm.app", "vscode", "unknown")), key=str
    )


def test_a_span_has_the_terminal_if_it_is_known() -> None:
    assert attributes.terminal(model.Session(session_id="s", terminal="iTerm.app")) == {"terminal.type": "iTerm.app"}
    assert attributes.terminal(model.Session(session_id="s")) == {}
    assert len(str(attributes.terminal(model.Session(session_id="s", terminal="x" * 999))["terminal.type"])) == 64
