"""Labels are bounded and private, whatever names and texts the sessions have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core, assemble_daemon
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import OVERFLOW
from claude_hooks_otel.settings import Config, OtelSettings
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.private_texts import KNOWN_NAMES, asked, leaked
from tests.support.replay import Clock, Replay, play

NAMES = 10_000
START_NS = 1_795_000_000_000_000_000


def _values(core: Core) -> dict[str, dict[tuple[tuple[str, str], ...], int]]:
    """Metric's name → labels → value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], int]] = {}
    for point in core.totals.points():
        found.setdefault(point.metric.name, {})[point.labels] = point.value
    return found


def test_ten_thousand_names_stay_within_the_limit_of_series_and_change_no_total(tmp_path: Path) -> None:
    """They are names of tools, MCP servers, models and file types. Each metric has a limit and an overflow series."""
    clock = Clock(START_NS)
    core = assemble_core(Home(tmp_path), Config(), clock)
    limit = Config().series.limit
    labels: dict[str, Any] = {"agent": "backend", "project": "shop"}
    for _ in range(2):  # the second time, the facts are not new
        with core.store.transaction():
            for number in range(NAMES):
                call = f"toolu_{number}"
                tool = f"mcp__server{number % 100}__tool{number}" if number % 2 else f"Tool{number}"
                core.facts.upsert(
                    model.ToolCall(tool_use_id=call, tool=tool, outcome="success", duration_ns=1_000_000, **labels)
                )
                core.facts.upsert(
                    model.ApiRequest(
                        message_id=f"msg_{number}", answer_id="r", model=f"model-{number}", agent_type="main", input_tokens=3,
                        output_tokens=2, cost=5, **labels,
                    )
                )  # fmt: skip
                core.facts.upsert(
                    model.FileChange(
                        tool_use_id=call, path_digest="d", file_type=f"t{number}", added=7, deleted=0, **labels
                    )
                )
    expected = {
        catalog.TOOL_CALLS: NAMES, catalog.API_REQUESTS: NAMES, catalog.TOKENS_INPUT: 3 * NAMES, catalog.COST: 5 * NAMES,
        catalog.TOKENS_OUTPUT: 2 * NAMES, catalog.LINES_ADDED: 7 * NAMES, catalog.TOOL_DURATION: NAMES * 1_000_000,
    }  # fmt: skip
    found = _values(core)
    for metric, total in expected.items():
        values = found[metric.name]
        assert len(values) == limit
        assert OVERFLOW in values
        assert sum(values.values()) == total
    with core.store.transaction():  # an existing series still grows after the limit is reached
        core.facts.upsert(model.ToolCall(tool_use_id="toolu_new", tool="Tool0", outcome="success", **labels))
    first = tuple(sorted({**labels, "tool": "tool0", "outcome": "success"}.items()))
    assert _values(core)[catalog.TOOL_CALLS.name][first] == 2
    core.store.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_exported_metrics_have_no_private_text_by_default(
    name: str, tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    """The bytes of every export have no path, prompt, command, session id or e-mail address."""
    replay: Replay = play(Scenario(name), tmp_path)
    replay.core.store.close()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    daemon = assemble_daemon(replay.home, Config(), OtelSettings.from_variables(variables), replay.clock)
    assert daemon.deliveries.flush().exporters == {"otlp metrics": None}
    daemon.close()
    wire = b"".join(otlp_receiver.raw_bodies)
    assert b"claude.sessions" in wire
    assert leaked(asked(replay.scenario), wire) - KNOWN_NAMES == set()
    values = {str(value) for point in otlp_receiver.metrics for value in point.attributes.values()}
    assert not {value for value in values if re.search(r"[/\\]|@|[0-9a-f]{8}-[0-9a-f]{4}-", value)}
