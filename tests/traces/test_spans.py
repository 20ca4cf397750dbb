"""The spans of recorded sessions agree with the client's own telemetry of these sessions."""

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
from tests.support.truth import subagent_in_telemetry, telemetry_events

# The client adds the cost of a dropped stream to the request that replaces it. The tokens are those of the answer alone.
BILLED_WITH_A_CUT_STREAM = {"req_c6c590ff9e2642c5ba44"}


def _by_attribute(spans: list[Span], operation: str, name: str) -> dict[Any, Span]:
    chosen = [span for span in spans if span.attributes.get("gen_ai.operation.name") == operation]
    assert max(Counter(span.attributes[name] for span in chosen if name in span.attributes).values(), default=1) == 1
    return {span.attributes[name]: span for span in chosen if name in span.attributes}


def test_every_tool_result_is_one_span_with_the_duration_that_the_client_reports(played: Replay) -> None:
    """Spans of interrupted calls may be longer by less than a second."""
    spans = _by_attribute(all_spans(played), "execute_tool", "gen_ai.tool.call.id")
    for reported in telemetry_events(played, "tool_result"):
        span = spans[reported["tool_use_id"]]
        longer = span.end_ns - span.start_ns - reported["duration_ms"] * MILLISECOND
        if span.error == UNTIMED:
            assert 0 <= longer < 1000 * MILLISECOND
        else:
            assert longer == 0
        assert (span.error is None) == (str(reported["success"]).lower() == "true")


def test_every_api_request_is_one_span_with_its_tokens_and_cost(played: Replay) -> None:
    """Side requests are left out, because no transcript names them."""
    spans = _by_attribute(all_spans(played), "chat", "claude.request.id")
    for reported in telemetry_events(played, "api_request"):
        if reported["query_source"] in SIDE_REQUESTS:
            continue
        span = spans[reported["request_id"]]
        assert span.attributes["gen_ai.usage.output_tokens"] == reported["output_tokens"]
        assert span.attributes["gen_ai.usage.input_tokens"] == (
            reported["input_tokens"] + reported["cache_read_tokens"] + reported["cache_creation_tokens"]
        )
        if "claude.cost.usd" in span.attributes and reported["request_id"] not in BILLED_WITH_A_CUT_STREAM:
            assert span.attributes["claude.cost.usd"] == pytest.approx(reported["cost_usd"], rel=1e-9)


def test_the_parent_of_a_request_or_call_is_the_agent_that_made_it(played: Replay) -> None:
    """The client names the sub-agent in each event."""
    spans = all_spans(played)
    above = {span.span_id: span for span in spans}
    tools = _by_attribute(spans, "execute_tool", "gen_ai.tool.call.id")
    chats = _by_attribute(spans, "chat", "claude.request.id")
    requests = [
        reported
        for reported in telemetry_events(played, "api_request")
        if reported["query_source"] not in SIDE_REQUESTS
    ]
    for reported, span in [
        *((reported, tools[reported["tool_use_id"]]) for reported in telemetry_events(played, "tool_result")),
        *((reported, chats[reported["request_id"]]) for reported in requests),
    ]:
        assert above[span.parent_id or 0].attributes.get("claude.subagent.id") == subagent_in_telemetry(
            played, reported
        )


def test_calls_and_requests_have_the_enclosing_call_and_the_trace_of_the_clients_spans(played: Replay) -> None:
    """The enclosing call is the one that started the sub-agent. An interaction of the client is one trace."""
    spans = all_spans(played)
    above = {span.span_id: span for span in spans}
    found = {
        "tool": _by_attribute(spans, "execute_tool", "gen_ai.tool.call.id"),
        "llm_request": _by_attribute(spans, "chat", "claude.request.id"),
    }
    answered = {reported["request_id"] for reported in telemetry_events(played, "api_request")}
    answered -= {
        reported["request_id"]
        for reported in telemetry_events(played, "api_request")
        if reported["query_source"] in SIDE_REQUESTS
    }
    traces: dict[str, set[int]] = {}
    compared = 0
    for session, events in played.scenario.truth["sessions"].items():
        for reported in events.get("spans", ()) if session[:8] not in LEFT_OUT else ():
            span = found[reported["kind"]].get(reported["id"])
            if span is None:
                assert reported["id"] not in answered
                continue
            enclosing = above.get(span.parent_id or 0)
            while enclosing is not None and "gen_ai.tool.call.id" not in enclosing.attributes:
                enclosing = above.get(enclosing.parent_id or 0)
            within = None if enclosing is None else enclosing.attributes["gen_ai.tool.call.id"]
            assert within == reported["within"], (reported, span.name)
            if reported["interaction"] is not None:
                traces.setdefault(reported["interaction"], set()).add(span.trace_id)
            compared += 1
    assert compared or not any("spans" in events for events in played.scenario.truth["sessions"].values())
    assert all(len(found) == 1 for found in traces.values())


def test_every_failed_request_is_an_error_span(played: Replay) -> None:
    failed = [request for request in played.core.facts.select(model.ApiRequest) if request.error]
    errors = [span.error for span in all_spans(played) if span.name.startswith("chat ") and span.error]
    assert sorted(errors) == sorted(str(request.error) for request in failed)


def test_each_trace_is_one_tree(played: Replay) -> None:
    """Each has one root, no circle and no missing parent. Span ids are unique. No span ends before it starts."""
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


def test_every_compaction_model_switch_and_interrupt_is_a_span_event_of_one_turn(played: Replay) -> None:
    """After the last turn of a session, they are only log events."""
    found = Counter((event.name, event.at_ns) for span in all_spans(played) for event in span.events)
    expected: Counter[tuple[str, int]] = Counter()
    for facts in all_facts(played):
        last_ns = max((turn.ended_ns or 0 for turn in facts.turns), default=0)
        marks = [("claude.compaction", mark.at_ns or 0) for mark in facts.compactions]
        marks += [("claude.model.switch", switch.at_ns or 0) for switch in facts.switches]
        marks += [("claude.interrupt", turn.interrupted_ns) for turn in facts.turns if turn.interrupted_ns is not None]
        expected.update(mark for mark in marks if mark[1] <= last_ns)
    assert found == expected


def _identities(replay: Replay) -> list[tuple[int, int, int | None, str, tuple[SpanEvent, ...]]]:
    found = [(span.trace_id, span.span_id, span.parent_id, span.name, span.events) for span in all_spans(replay)]
    replay.core.store.close()
    return sorted(found, key=str)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != REGISTERED_TWICE])
def test_order_copies_and_restarts_do_not_change_ids(name: str, tmp_path: Path) -> None:
    """Traces, spans, parents, names and span events are the same."""
    in_order = _identities(play(Scenario(name), tmp_path / "in-order"))
    assert in_order
    assert _identities(play(Scenario(name), tmp_path / "shuffled", seed=1)) == in_order
    restarts = 0 if name == BRANCHED else 3
    assert _identities(play(Scenario(name), tmp_path / "again", seed=2, twice=True, restarts=restarts)) == in_order


@pytest.mark.parametrize("name", KEPT)
def test_the_span_trees_equal_the_reviewed_ones(name: str, tmp_path: Path) -> None:
    """``python -m tests.support.span_trees`` writes the reviewed trees again."""
    replay = play(Scenario(name), tmp_path)
    found = json.loads(json.dumps(trees(all_spans(replay))))
    replay.core.store.close()
    assert found == json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_names_that_join_to_the_same_text_have_different_ids() -> None:
    """No id is zero. The reviewed trees show that ids stay the same between versions."""
    assert ids.trace_id("ab", "c") != ids.trace_id("a", "bc")
    assert ids.span_id("chat", "1") != ids.span_id("tool", "1")
    assert ids.trace_id("session", "prompt") == ids.trace_id("session", "prompt")
    assert 0 < ids.trace_id("session", "prompt") < 1 << 128
    assert 0 < ids.span_id("tool", "toolu_1") < 1 << 64
