"""A field of an unexpected shape costs only itself: every other field of the same line or payload is read as before."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.outcomes import LOSSES, Damage
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import hook_payloads, transcript_lines
from claude_hooks_otel.sources.transcript_files import TranscriptFile
from claude_hooks_otel.sources.transcripts import TranscriptLine
from tests.support.corpus import SCENARIOS, Scenario

ODD: list[Any] = [
    None, "", "text", "\ud800", "-1", -1, 0.5, 1e300, 2**63, 2**64, 10**30, True, [], [1, "x", None], {}, {"a": {"b": 1}},
]  # fmt: skip
Steps = tuple[str | int, ...]
# Without one of these, a record is not one: its loss is counted.
REQUIRED: set[Steps] = {("type",), ("sessionId",), ("message",), ("startTime",)}


@cache
def recorded_lines() -> list[dict[str, Any]]:
    """Return every recorded line with facts."""
    scenarios = [Scenario(name) for name in SCENARIOS]
    lines = [line for each in scenarios for name in each.transcript_names for line in each.transcript(name)]
    return [line for line in lines if transcript_lines.parse(json.dumps(line).encode()).records]


@cache
def recorded_payloads() -> list[dict[str, Any]]:
    return [hook.fields for name in SCENARIOS for hook in Scenario(name).hooks]


def places(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """Yield the path to every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(value: dict[str, Any], path: Steps, odd: Any) -> dict[str, Any]:
    changed = copy.deepcopy(value)
    container: Any = changed
    for part in path[:-1]:
        container = container[part]
    container[path[-1]] = odd
    return changed


def differing(before: Any, after: Any, path: Steps = ()) -> Iterator[Steps]:
    """Yield the paths at which two models differ, by the names in the JSON."""
    if isinstance(before, BaseModel) and isinstance(after, BaseModel) and type(before) is type(after):
        for name, field in type(before).model_fields.items():
            key = field.alias or name
            yield from differing(getattr(before, name), getattr(after, name), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differing(one, other, (*path, place))
    elif isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key in before:
            yield from differing(before[key], after[key], (*path, key))
    elif before != after:
        yield path


def related(one: Steps, other: Steps) -> bool:
    """Return whether one path leads to the other's place, or into it."""
    return all(a == b for a, b in zip(one, other, strict=False))


def check_line(line: dict[str, Any], path: Steps, odd: Any) -> None:
    [before] = transcript_lines.parse(json.dumps(line).encode()).records
    parsed = transcript_lines.parse(json.dumps(mutated(line, path, odd)).encode())
    if not parsed.records:
        assert path in REQUIRED
        assert path == ("type",) or not LOSSES.isdisjoint(parsed.damage)
        return
    [after] = parsed.records
    lost = [place for place in differing(before, after) if not related(place, path)]
    assert lost == []


def check_payload(payload: dict[str, Any], path: Steps, odd: Any) -> None:
    before = hook_payloads.parse(json.dumps(payload).encode())
    try:
        after = hook_payloads.parse(json.dumps(mutated(payload, path, odd)).encode())
    except hook_payloads.PayloadError:
        assert path in {("session_id",), ("hook_event_name",)}
        return
    if path == ("hook_event_name",):
        return  # another event
    assert [place for place in differing(before, after) if not related(place, path)] == []


cases = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(ODD))


def chosen(values: list[dict[str, Any]], case: tuple[int, int, Any]) -> tuple[dict[str, Any], Steps, Any]:
    value = values[case[0] % len(values)]
    paths = list(places(value))
    return value, paths[case[1] % len(paths)], case[2]


@settings(max_examples=500)
@given(cases)
def test_an_odd_field_of_a_line_costs_only_itself(case: tuple[int, int, Any]) -> None:
    check_line(*chosen(recorded_lines(), case))


@settings(max_examples=500)
@given(cases)
def test_an_odd_field_of_a_payload_costs_only_itself(case: tuple[int, int, Any]) -> None:
    check_payload(*chosen(recorded_payloads(), case))


@pytest.mark.slow
@settings(max_examples=20_000)
@given(cases)
def test_odd_fields_of_lines_cost_only_themselves(case: tuple[int, int, Any]) -> None:
    check_line(*chosen(recorded_lines(), case))


@pytest.mark.slow
@settings(max_examples=20_000)
@given(cases)
def test_odd_fields_of_payloads_cost_only_themselves(case: tuple[int, int, Any]) -> None:
    check_payload(*chosen(recorded_payloads(), case))


# Places whose values a request is made of.
OF_A_REQUEST: list[Steps] = [
    ("message", "usage"), ("message", "id"), ("message", "model"), ("message", "stop_reason"), ("type",), ("sessionId",),
    ("timestamp",), ("uuid",), ("parentUuid",), ("requestId",), ("requestedModel",), ("requestSessionId",), ("message",),
    ("isApiErrorMessage",), ("error",), ("attributionAgent",),
]  # fmt: skip


def test_an_odd_field_never_fails_in_the_reader(tmp_path: Path) -> None:
    """The readers of tool calls, results and prompts accept any shape. The tokens and the cost of the request stay."""
    core = assemble_core(Home(tmp_path), Config(), lambda: 1_796_000_000_000_000_000, history_ns=0)

    @settings(max_examples=600)
    @given(cases)
    def check(case: tuple[int, int, Any]) -> None:
        line, path, odd = chosen(recorded_lines(), case)
        with core.store.transaction():
            requests = [_requests(core, each) for each in (line, mutated(line, path, odd))]
        if not any(path[: len(place)] == place for place in OF_A_REQUEST):
            assert requests[0] == requests[1]

    check()
    core.store.close()


def _requests(core: Any, line: dict[str, Any]) -> list[model.ApiRequest]:
    """Return the requests that a line makes, and forget them."""
    found: list[model.ApiRequest] = []
    for record in transcript_lines.parse(json.dumps(line).encode()).records:
        with pytest.raises(InterruptedError), core.store.step():
            core.intake._lines.begin(TranscriptFile("s", "", Path("s.jsonl")))
            core.intake._lines.read(TranscriptLine(record, 0, "a", {}, {}))
            found += core.facts.select(model.ApiRequest)
            raise InterruptedError
    return found


def test_the_fast_and_the_tolerant_reader_agree_about_every_recorded_line() -> None:
    """One decodes JSON into structs at once, the other reads any JSON first."""
    for line in recorded_lines():
        raw = json.dumps(line).encode()
        fast, tolerant = transcript_lines.parse(raw), transcript_lines._parse_damaged(raw)
        assert (fast.records, fast.damage) == (tolerant.records, tolerant.damage)
        (record,) = fast.records
        assert {name: getattr(record, name) for name in ("type", "session_id", "written")} == {
            "type": line["type"], "session_id": line["sessionId"], "written": line.get("timestamp", 0),
        }  # fmt: skip


def test_a_type_inside_a_line_is_not_the_type_of_the_line() -> None:
    """A ``progress`` line contains a whole answer."""
    inner = {"type": "assistant", "sessionId": "s", "message": {"usage": {"output_tokens": 7}}}
    for line in (
        {"data": inner, "type": "progress", "sessionId": "s"},
        {**inner, "type": "progress"},
    ):
        assert transcript_lines.parse(json.dumps(line).encode()).records == ()
    nested = {"toolUseResult": {"type": "assistant"}, "type": "user", "sessionId": "s", "message": {"content": "x"}}
    assert [record.type for record in transcript_lines.parse(json.dumps(nested).encode()).records] == ["user"]


def test_every_field_that_is_left_out_is_counted() -> None:
    """Once as damage, and with its name, but never with its value."""
    line = {"type": "user", "sessionId": "s", "message": {"content": "x"}, "promptId": 7, "isMeta": "hunter2"}
    parsed = transcript_lines.parse(json.dumps(line).encode())
    assert parsed.damage == (Damage.FIELD, Damage.FIELD)
    assert set(parsed.details) == {"user.promptId:unexpected", "user.isMeta:unexpected"}
