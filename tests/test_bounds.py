"""Labels are bounded and private: whatever names are thrown at the series, and whatever the sessions held."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import SCENARIOS, Scenario
from otlp_receiver import OtlpReceiver
from replay import Clock, Replay, play

from claude_hooks_otel.config import Config
from claude_hooks_otel.daemon.exports import Exports
from claude_hooks_otel.daemon.pipeline import Pipeline
from claude_hooks_otel.facts import model
from claude_hooks_otel.paths import Home
from claude_hooks_otel.series import catalog
from claude_hooks_otel.series.book import OVERFLOW
from claude_hooks_otel.series.metric import Metric

NAMES = 10_000
START_NS = 1_795_000_000_000_000_000


def _values(pipeline: Pipeline, metric: Metric) -> dict[tuple[tuple[str, str], ...], int]:
    return {point.labels: point.value for point in pipeline.book.points() if point.metric is metric}


def test_ten_thousand_names_stay_within_the_limit_and_the_totals_right(tmp_path: Path) -> None:
    """Tools, MCP names, models and file types: capped per metric, the rest in the overflow series, nothing lost, also later."""
    clock = Clock(START_NS)
    pipeline = Pipeline(Home(tmp_path), Config(), clock)
    limit = Config().series.limit
    labels: dict[str, Any] = {"agent": "backend", "project": "shop"}
    for _ in range(2):  # the second time every fact is known
        with pipeline.store.transaction():
            for number in range(NAMES):
                call = f"toolu_{number}"
                tool = f"mcp__server{number % 100}__tool{number}" if number % 2 else f"Tool{number}"
                pipeline.store.upsert(
                    model.ToolCall(tool_use_id=call, tool=tool, outcome="success", duration_ns=1_000_000, **labels)
                )
                pipeline.store.upsert(
                    model.ApiRequest(
                        message_id=f"msg_{number}", model=f"model-{number}", agent_type="main", input_tokens=3,
                        output_tokens=2, cost=5, **labels,
                    )
                )  # fmt: skip
                pipeline.store.upsert(
                    model.FileChange(
                        tool_use_id=call, path_digest="d", file_type=f"t{number}", added=7, deleted=0, **labels
                    )
                )
    expected = {
        catalog.TOOL_CALLS: NAMES, catalog.API_REQUESTS: NAMES, catalog.TOKENS_INPUT: 3 * NAMES, catalog.COST: 5 * NAMES,
        catalog.TOKENS_OUTPUT: 2 * NAMES, catalog.LINES_ADDED: 7 * NAMES, catalog.TOOL_DURATION: NAMES * 1_000_000,
    }  # fmt: skip
    for metric, total in expected.items():
        values = _values(pipeline, metric)
        assert len(values) == limit
        assert OVERFLOW in values
        assert sum(values.values()) == total
    with pipeline.store.transaction():  # a series that was there before the limit goes on by itself
        pipeline.store.upsert(model.ToolCall(tool_use_id="toolu_new", tool="Tool0", outcome="success", **labels))
    first = tuple(sorted({**labels, "tool": "tool0", "outcome": "success"}.items()))
    assert _values(pipeline, catalog.TOOL_CALLS)[first] == 2
    pipeline.close()


def _private(scenario: Scenario) -> Iterator[str]:
    """Every prompt, path, command, identifier and e-mail address of the scenario's events."""
    for hook in scenario.hooks:
        fields = hook.fields
        yield from (
            str(fields[name]) for name in ("session_id", "prompt_id", "agent_id", "tool_use_id") if fields.get(name)
        )
        yield from (str(fields[name]) for name in ("cwd", "transcript_path", "prompt", "file_path") if fields.get(name))
        yield from str(fields.get("prompt", "")).splitlines()
        tool_input = fields.get("tool_input")
        for name, value in (tool_input if isinstance(tool_input, dict) else {}).items():
            if isinstance(value, str) and name not in {"subagent_type", "skill", "status", "taskId", "model"}:
                yield value
                yield from value.splitlines()
        yield from re.findall(r"[\w.+-]+@[\w-]+\.[\w.]+", json.dumps(fields))


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_private_is_on_the_wire(name: str, tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """The bytes of every export hold no path, prompt, command, session id or e-mail address, with the default configuration."""
    replay: Replay = play(Scenario(name), tmp_path)
    exports = Exports(
        replay.pipeline,
        {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        0.0,
    )
    assert exports.flush() == {"otlp": None}
    exports.close()
    replay.pipeline.close()
    wire = b"".join(otlp_receiver.raw_bodies)
    assert b"claude.sessions" in wire
    # Shorter texts are words like "done" or "ls", which any wire holds by chance.
    leaked = {text for text in _private(replay.scenario) if len(text) >= 8 and text.encode() in wire} - KNOWN_NAMES
    assert leaked == set()
    values = {str(value) for point in otlp_receiver.metrics for value in point.attributes.values()}
    assert not {value for value in values if re.search(r"[/\\]|@|[0-9a-f]{8}-[0-9a-f]{4}-", value)}


# What a tool was asked with that is also a name of a label's bounded set: a skill, an agent's type, a tool's name.
KNOWN_NAMES = {"reviewing", "general-purpose"}
