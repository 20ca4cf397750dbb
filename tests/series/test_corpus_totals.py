"""The recorded sessions through the whole core, held against the client's own telemetry of the same sessions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.units import DOLLAR
from tests.support.corpus import Scenario
from tests.support.known_differences import LEFT_OUT, SIDE_REQUESTS
from tests.support.replay import Replay

# The client's token types and what they are here; a cache write is one class there and two here.
TYPES = {"input": "none", "cacheRead": "read", "cacheCreation": "write"}

# Named differences: sessions that only one side can see are left out on both.
# Requests that the client counts to the main conversation and we as auxiliary: no transcript shows them, and numbers alone
# cannot tell a stream that was cut from a side request.
CUT_STREAMS = {"api-errors": "four dropped streams, two of them billed", "tui-more": "two streams ended with ESC"}
# Models that the client prices by guessing (as its default model): they have no cost here.
UNPRICED = {"claude-foo-9", "model-x"}


def _kind(agent_type: str) -> str:
    return agent_type if agent_type in ("main", "auxiliary") else "subagent"


def _witnessed(scenario: Scenario, metric: str) -> Counter[tuple[str, ...]]:
    """(model, main/subagent/auxiliary, token type) → what the client's metric says, over all sessions both can see."""
    found: Counter[tuple[str, ...]] = Counter()
    for session, told in scenario.truth["sessions"].items():
        if session[:8] in LEFT_OUT:
            continue
        for point in told["metrics"].get(metric, []):
            key = (
                normalize(point["model"]),
                point["query_source"],
                TYPES.get(point.get("type", ""), "output"),
            )
            found[key if metric == "token.usage" else key[:2]] += point["value"]
    return +found


def _merged(counts: Counter[tuple[str, ...]], scenario: Scenario) -> dict[tuple[str, ...], Any]:
    """The counts, main and auxiliary together where cut streams make that split a named difference."""
    if scenario.name not in CUT_STREAMS:
        return dict(counts)
    merged: Counter[tuple[str, ...]] = Counter()
    for (name, kind, *rest), value in counts.items():
        merged[name, "main" if kind == "auxiliary" else kind, *rest] += value
    return dict(merged)


def test_tokens_are_the_clients(played: Replay) -> None:
    """Tokens by model, class, and main, sub-agent or auxiliary are those of the client's token.usage."""
    scenario, totals = played.scenario, played.totals()
    ours: Counter[tuple[str, ...]] = Counter()
    for (name, labels), value in totals.items():
        told = dict(labels)
        if name == "claude.tokens.input":
            ours[told["model"], _kind(told["agent_type"]), told["cache"].partition("_")[0]] += value
        elif name == "claude.tokens.output":
            ours[told["model"], _kind(told["agent_type"]), "output"] += value
    assert _merged(+ours, scenario) == _merged(_witnessed(scenario, "token.usage"), scenario)


def test_cost_is_the_clients(played: Replay) -> None:
    """Dollars by model and main, sub-agent or auxiliary are those of the client's cost.usage, to 1e-9."""
    scenario, totals = played.scenario, played.totals()
    ours: Counter[tuple[str, ...]] = Counter()
    for (name, labels), value in totals.items():
        if name == "claude.api.cost.usd":
            ours[dict(labels)["model"], _kind(dict(labels)["agent_type"])] += value / DOLLAR
    expected = Counter(
        {key: value for key, value in _witnessed(scenario, "cost.usage").items() if key[0] not in UNPRICED}
    )
    assert _merged(ours, scenario) == pytest.approx(_merged(expected, scenario), rel=1e-9)


def test_sessions_are_the_clients(played: Replay) -> None:
    """Sessions begun (a new conversation by /clear or /branch is ours alone) are those of the client's session.count."""
    scenario, totals = played.scenario, played.totals()
    sources = {dict(labels)["source"]: value for (name, labels), value in totals.items() if name == "claude.sessions"}
    expected = sum(
        point["value"]
        for session, told in scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for point in told["metrics"].get("session.count", [])
    )
    assert sum(sources.values()) - sources.get("clear", 0) == expected + DIFFERENT_STARTS.get(scenario.name, (0,))[0]


# Starts that hooks see and session.count does not count.
DIFFERENT_STARTS = {
    "agent-main": (1, "--init-only runs the SessionStart hooks and no session"),
    "clear": (1, "/branch makes a new session, announced as a fork; the client counts only its own starts"),
}


def test_tool_results_are_the_clients(played: Replay) -> None:
    """Every call of the client's tool_result events is here, a success as one and a failure as one; nothing ran that is not there."""
    calls = {call.tool_use_id: call.outcome for call in played.core.facts.select(model.ToolCall)}
    expected = {
        result["tool_use_id"]: ("success",) if str(result["success"]).lower() == "true" else ("error", "interrupted")
        for session, told in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for result in told["tool_result"]
    }
    assert not {name: calls.get(name) for name, outcomes in expected.items() if calls.get(name) not in outcomes}
    unreported = {name for name, outcome in calls.items() if outcome in ("success", "error")} - expected.keys()
    assert unreported == UNWITNESSED_CALLS.get(played.scenario.name, (set(),))[0]


# Calls that ran, and of which the client's telemetry says nothing.
UNWITNESSED_CALLS: dict[str, tuple[set[str], str]] = {
    "tui-more": ({"toolu_69189b7953e74fb6b64715"}, "Ctrl-C twice ended the client while the command ran"),
}


def test_requests_are_the_clients(played: Replay) -> None:
    """Every request of the client's api_request events is here once, but for side requests, which no transcript names."""
    ours = {request.request_id for request in played.core.facts.select(model.ApiRequest)}
    expected = {
        request["request_id"]
        for session, told in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for request in told["api_request"]
        if request["query_source"] not in SIDE_REQUESTS
    }
    assert expected - ours == UNSEEN_REQUESTS.get(played.scenario.name, (set(),))[0]


UNSEEN_REQUESTS: dict[str, tuple[set[str], str]] = {}


def test_failed_requests_are_the_clients(played: Replay) -> None:
    """Every request of the client's api_error events is here once, as an error."""
    failed = [request for request in played.core.facts.select(model.ApiRequest) if request.error]
    expected = [
        error.get("request_id")
        for session, told in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for error in told["api_error"]
    ]
    compacted = COMPACTED_ERRORS.get(played.scenario.name, (set(),))[0]
    assert sorted(str(request.request_id) for request in failed) == sorted(
        str(name) for name in expected if name not in compacted
    )
    counted = sum(
        value
        for (name, labels), value in played.totals().items()
        if name == "claude.api.requests" and dict(labels)["outcome"] == "error"
    )
    assert counted == len(failed)


# Failures that the client mends by itself and leaves no line of.
COMPACTED_ERRORS: dict[str, tuple[set[str], str]] = {
    "api-errors": ({"req_035eda19ee2e48dc8245"}, "a prompt that is too long is compacted and asked again"),
}
