"""The spans of the recorded sessions, held against the client's own telemetry of the same sessions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces.model import Span, SpanEvent
from claude_hooks_otel.units import MILLISECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.known_differences import BRANCHED, LEFT_OUT, REGISTERED_TWICE, SIDE_REQUESTS, UNTIMED
from tests.support.replay import Replay, play
from tests.support.span_trees import FOLDER, KEPT, all_facts, all_spans, trees
from tests.support.truth import told as _told
from tests.support.truth import told_agent

# The client adds what a dropped stream cost to the request that was sent in its place; its tokens are those of the answer alone.
BILLED_WITH_A_CUT_STREAM = {"req_c6c590ff9e2642c5ba44"}


def _by_attribute(spans: list[Span], operation: str, name: str) -> dict[Any, Span]:
    chosen = [span for span in spans if span.attributes.get("gen_ai.operation.name") == operation]
    assert max(Counter(span.attributes[name] for span in chosen if name in span.attributes).values(), default=1) == 1
    return {span.attributes[name]: span for span in chosen if name in span.attributes}


def test_every_tool_result_is_one_span_as_long_as_the_client_says(played: Replay) -> None:
    """By tool_use_id; equal to duration_ms, but for interrupted calls, which are at least as long and under a second longer."""
    spans = _by_attribute(all_spans(played), "execute_tool", "gen_ai.tool.call.id")
    for told in _told(played, "tool_result"):
        span = spans[told["tool_use_id"]]
        longer = span.end_ns - span.start_ns - told["duration_ms"] * MILLISECOND
        if span.error == UNTIMED:
            assert 0 <= longer < 1000 * MILLISECOND
        else:
            assert longer == 0
        assert (span.error is None) == (str(told["success"]).lower() == "true")


def test_every_api_request_is_one_span_with_its_tokens_and_cost(played: Replay) -> None:
    """By request id; side requests, which no transcript names, excepted."""
    spans = _by_attribute(all_spans(played), "chat", "claude.request.id")
    for told in _told(played, "api_request"):
        if told["query_source"] in SIDE_REQUESTS:
            continue
        span = spans[told["request_id"]]
        assert span.attributes["gen_ai.usage.output_tokens"] == told["output_tokens"]
        assert span.attributes["gen_ai.usage.input_tokens"] == (
            told["input_tokens"] + told["cache_read_tokens"] + told["cache_creation_tokens"]
        )
        if "claude.cost.usd" in span.attributes and told["request_id"] not in BILLED_WITH_A_CUT_STREAM:
            assert span.attributes["claude.cost.usd"] == pytest.approx(told["cost_usd"], rel=1e-9)


def test_requests_and_calls_stand_beneath_the_agent_that_made_them(played: Replay) -> None:
    """The client says with each event which sub-agent it was; the span above it says the same."""
    spans = all_spans(played)
    above = {span.span_id: span for span in spans}
    tools = _by_attribute(spans, "execute_tool", "gen_ai.tool.call.id")
    chats = _by_attribute(spans, "chat", "claude.request.id")
    requests = [told for told in _told(played, "api_request") if told["query_source"] not in SIDE_REQUESTS]
    for told, span in [
        *((told, tools[told["tool_use_id"]]) for told in _told(played, "tool_result")),
        *((told, chats[told["request_id"]]) for told in requests),
    ]:
        assert above[span.parent_id or 0].attributes.get("claude.subagent.id") == told_agent(played, told)


def test_calls_and_requests_are_within_what_the_clients_own_spans_say(played: Replay) -> None:
    """The call that encloses each (that of a sub-agent's start), and what is one interaction of a session is one trace."""
    spans = all_spans(played)
    above = {span.span_id: span for span in spans}
    found = {
        "tool": _by_attribute(spans, "execute_tool", "gen_ai.tool.call.id"),
        "llm_request": _by_attribute(spans, "chat", "claude.request.id"),
    }
    answered = {told["request_id"] for told in _told(played, "api_request")}
    answered -= {told["request_id"] for told in _told(played, "api_request") if told["query_source"] in SIDE_REQUESTS}
    traces: dict[str, set[int]] = {}
    compared = 0
    for session, events in played.scenario.truth["sessions"].items():
        for told in events.get("spans", ()) if session[:8] not in LEFT_OUT else ():
            span = found[told["kind"]].get(told["id"])
            if span is None:
                assert told["id"] not in answered
                continue
            enclosing = above.get(span.parent_id or 0)
            while enclosing is not None and "gen_ai.tool.call.id" not in enclosing.attributes:
                enclosing = above.get(enclosing.parent_id or 0)
            within = None if enclosing is None else enclosing.attributes["gen_ai.tool.call.id"]
            assert within == told["within"], (told, span.name)
            if told["interaction"] is not None:
                traces.setdefault(told["interaction"], set()).add(span.trace_id)
            compared += 1
    assert compared or not any("spans" in events for events in played.scenario.truth["sessions"].values())
    assert all(len(found) == 1 for found in traces.values())


def test_every_failed_request_is_an_error_span(played: Replay) -> None:
    failed = [request for request in played.core.facts.select(model.ApiRequest) if request.error]
    errors = [span.error for span in all_spans(played) if span.name.startswith("chat ") and span.error]
    assert sorted(errors) == sorted(str(request.error) for request in failed)


def test_each_trace_is_one_tree(played: Replay) -> None:
    """One root; every parent is a span of the same trace and nothing is above itself; no span id twice; nothing ends before it began."""
    spans = all_spans(played)
    nodes = {(span.trace_id, span.span_id): span for span in spans}
    assert len({span.span_id for span in spans}) == len(spans)
    roots = Counter(span.trace_id for span in spans if span.parent_id is None)
    assert set(roots.values()) <= {1}
    assert set(roots) == {span.trace_id for span in spans}
    for span in spans:
        assert 0 < span.start_ns <= span.end_ns
        seen = {span.span_id}
        while span.parent_id is not None:
            span = nodes[span.trace_id, span.parent_id]  # noqa: PLW2901
            assert span.span_id not in seen
            seen.add(span.span_id)


def test_every_compaction_model_switch_and_interrupt_is_an_event_of_one_turn(played: Replay) -> None:
    """Those that a turn followed: what came after a session's last one is a log event alone."""
    found = Counter((event.name, event.at_ns) for span in all_spans(played) for event in span.events)
    expected: Counter[tuple[str, int]] = Counter()
    for facts in all_facts(played):
        last_ns = max((turn.ended_ns or 0 for turn in facts.turns), default=0)
        marks = [("claude.compaction", mark.at_ns or 0) for mark in facts.compactions]
        marks += [("claude.model.switch", switch.at_ns or 0) for switch in facts.switches]
        marks += [("claude.interrupt", turn.interrupted_ns) for turn in facts.turns if turn.interrupted_ns is not None]
        expected.update(mark for mark in marks if mark[1] <= last_ns)
    assert found == expected


def _identified(replay: Replay) -> list[tuple[int, int, int | None, str, tuple[SpanEvent, ...]]]:
    found = [(span.trace_id, span.span_id, span.parent_id, span.name, span.events) for span in all_spans(replay)]
    replay.core.store.close()
    return sorted(found, key=str)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_any_order_twice_and_over_restarts_makes_the_same_ids(name: str, tmp_path: Path) -> None:
    """Spans, their traces, parents, names and events."""
    in_order = _identified(play(Scenario(name), tmp_path / "in-order"))
    assert in_order
    assert _identified(play(Scenario(name), tmp_path / "shuffled", seed=1)) == in_order
    restarts = 0 if name == BRANCHED else 3
    assert _identified(play(Scenario(name), tmp_path / "again", seed=2, twice=True, restarts=restarts)) == in_order


@pytest.mark.parametrize("name", KEPT)
def test_the_trees_are_those_that_were_reviewed(name: str, tmp_path: Path) -> None:
    """``python tests/span_trees.py`` writes them anew."""
    replay = play(Scenario(name), tmp_path)
    found = json.loads(json.dumps(trees(all_spans(replay))))
    replay.core.store.close()
    assert found == json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_ids_tell_names_apart_that_run_together() -> None:
    """And no id is zero. That they stay what they were, the kept trees see to."""
    assert ids.trace_id("ab", "c") != ids.trace_id("a", "bc")
    assert ids.span_id("chat", "1") != ids.span_id("tool", "1")
    assert ids.trace_id("session", "prompt") == ids.trace_id("session", "prompt")
    assert 0 < ids.trace_id("session", "prompt") < 1 << 128
    assert 0 < ids.span_id("tool", "toolu_1") < 1 << 64
