"""The totals of recorded sessions equal the client's own telemetry of these sessions."""

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

# The client's token types and ours. It has one type of cache writes, we have two.
TYPES = {"input": "none", "cacheRead": "read", "cacheCreation": "write"}

# Scenarios with requests that the client counts as main and we count as auxiliary. No transcript shows them, and their numbers
# alone do not distinguish a cut stream from a side request.
CUT_STREAMS = {"api-errors": "four dropped streams, two of them billed", "tui-more": "two streams ended with ESC"}
# Unknown models, for which the client uses the price of its default model. Here they have no cost.
UNPRICED = {"claude-foo-9", "model-x"}


def _kind(agent_type: str) -> str:
    return agent_type if agent_type in ("main", "auxiliary") else "subagent"


def _client_totals(scenario: Scenario, metric: str) -> Counter[tuple[str, ...]]:
    """Return (model, main/subagent/auxiliary, token type) → the client's total over all sessions that both sides cover."""
    found: Counter[tuple[str, ...]] = Counter()
    for session, reported in scenario.truth["sessions"].items():
        if session[:8] in LEFT_OUT:
            continue
        for point in reported["metrics"].get(metric, []):
            key = (
                normalize(point["model"]),
                point["query_source"],
                TYPES.get(point.get("type", ""), "output"),
            )
            found[key if metric == "token.usage" else key[:2]] += point["value"]
    return +found


def _merged(counts: Counter[tuple[str, ...]], scenario: Scenario) -> dict[tuple[str, ...], Any]:
    """Return the counts. In scenarios with cut streams, main and auxiliary count together."""
    if scenario.name not in CUT_STREAMS:
        return dict(counts)
    merged: Counter[tuple[str, ...]] = Counter()
    for (name, kind, *rest), value in counts.items():
        merged[name, "main" if kind == "auxiliary" else kind, *rest] += value
    return dict(merged)


def test_tokens_equal_those_of_the_client(played: Replay) -> None:
    """They are compared by model, class, and main, sub-agent or auxiliary with token.usage."""
    scenario, totals = played.scenario, played.totals()
    ours: Counter[tuple[str, ...]] = Counter()
    for (name, labels), value in totals.items():
        reported = dict(labels)
        if name == "claude.tokens.input":
            ours[reported["model"], _kind(reported["agent_type"]), reported["cache"].partition("_")[0]] += value
        elif name == "claude.tokens.output":
            ours[reported["model"], _kind(reported["agent_type"]), "output"] += value
    assert _merged(+ours, scenario) == _merged(_client_totals(scenario, "token.usage"), scenario)


def test_cost_equals_that_of_the_client(played: Replay) -> None:
    """Dollars are compared by model, and main, sub-agent or auxiliary with cost.usage, to 1e-9."""
    scenario, totals = played.scenario, played.totals()
    ours: Counter[tuple[str, ...]] = Counter()
    for (name, labels), value in totals.items():
        if name == "claude.api.cost.usd":
            ours[dict(labels)["model"], _kind(dict(labels)["agent_type"])] += value / DOLLAR
    expected = Counter(
        {key: value for key, value in _client_totals(scenario, "cost.usage").items() if key[0] not in UNPRICED}
    )
    assert _merged(ours, scenario) == pytest.approx(_merged(expected, scenario), rel=1e-9)


def test_sessions_equal_those_of_the_client(played: Replay) -> None:
    """The client's session.count has no new conversations by /clear or /branch. We count them."""
    scenario, totals = played.scenario, played.totals()
    sources = {dict(labels)["source"]: value for (name, labels), value in totals.items() if name == "claude.sessions"}
    expected = sum(
        point["value"]
        for session, reported in scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for point in reported["metrics"].get("session.count", [])
    )
    assert sum(sources.values()) - sources.get("clear", 0) == expected + DIFFERENT_STARTS.get(scenario.name, (0,))[0]


# Scenarios with starts that hooks report and session.count does not count.
DIFFERENT_STARTS = {
    "agent-main": (1, "--init-only runs the SessionStart hooks without a session"),
    "clear": (1, "/branch makes a new session, a fork. The client counts only the starts of its process"),
}


def test_tool_results_equal_those_of_the_client(played: Replay) -> None:
    """Calls that ran are those of the tool_result events, with the same outcomes."""
    calls = {call.tool_use_id: call.outcome for call in played.core.facts.select(model.ToolCall)}
    expected = {
        result["tool_use_id"]: ("success",) if str(result["success"]).lower() == "true" else ("error", "interrupted")
        for session, reported in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for result in reported["tool_result"]
    }
    assert not {name: calls.get(name) for name, outcomes in expected.items() if calls.get(name) not in outcomes}
    unreported = {name for name, outcome in calls.items() if outcome in ("success", "error")} - expected.keys()
    assert unreported == set()


def test_we_count_each_request_of_the_client(played: Replay) -> None:
    """They are the requests of the api_request events. No transcript names side requests."""
    ours = [request.request_id for request in played.core.facts.select(model.ApiRequest) if request.request_id]
    expected = {
        request["request_id"]
        for session, reported in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for request in reported["api_request"]
        if request["query_source"] not in SIDE_REQUESTS
    }
    assert expected <= set(ours)
    assert len(set(ours)) == len(ours)


def test_failed_requests_equal_those_of_the_client(played: Replay) -> None:
    """They are the requests of the api_error events."""
    failed = [request for request in played.core.facts.select(model.ApiRequest) if request.error]
    expected = [
        error.get("request_id")
        for session, reported in played.scenario.truth["sessions"].items()
        if session[:8] not in LEFT_OUT
        for error in reported["api_error"]
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


# Failures that are in no transcript, because the client tries again by itself.
COMPACTED_ERRORS: dict[str, tuple[set[str], str]] = {
    "api-errors": ({"req_035eda19ee2e48dc8245"}, "a prompt that is too long is compacted and sent again"),
}
