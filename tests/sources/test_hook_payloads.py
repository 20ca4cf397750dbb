"""Hook payloads: what the real client sent, what a newer or broken one might send, and what no client would."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_hooks_otel.sources import hook_payloads as hook_events
from claude_hooks_otel.sources.hook_payloads import UNEXPECTED, HookEvent, OtherEvent, PayloadError, parse
from claude_hooks_otel.sources.registration import KNOWN_EVENTS, REGISTERED
from tests.support.corpus import SCENARIOS, Scenario

SECRET = "hunter2"


def payload(event: Any = "Stop", **fields: Any) -> bytes:
    return json.dumps({"hook_event_name": event, "session_id": "s-1"} | fields).encode()


# -- recorded ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_payload_parses_and_keeps_every_field(name: str) -> None:
    """What the real client sent is read as the event it says it is; nothing of it is dropped or of an unexpected type."""
    hooks = Scenario(name).hooks
    assert hooks
    for hook in hooks:
        event = parse(hook.payload)
        assert event.hook_event_name == hook.event == hook.fields["hook_event_name"]
        assert (type(event) is OtherEvent) == (hook.event not in REGISTERED)
        assert event.model_dump(exclude_unset=True) == hook.fields
        assert not [field for field in event.model_extra or () if field.endswith(UNEXPECTED)]


def test_the_models_know_every_recorded_field_of_a_registered_event() -> None:
    """No field that the recorded client sends with a registered event is a surprise."""
    surprises = {
        f"{hook.event}.{field}"
        for name in SCENARIOS
        for hook in Scenario(name).hooks
        if hook.event in REGISTERED
        for field in parse(hook.payload).model_extra or ()
    }
    assert surprises == set()


def test_every_registered_event_is_recorded_somewhere() -> None:
    """The corpus speaks for all that is registered."""
    assert REGISTERED.keys() - {hook.event for name in SCENARIOS for hook in Scenario(name).hooks} == set()


def test_teammate_idle_parses_as_observed() -> None:
    """The fields that the client was seen to send."""
    event = parse(
        payload(
            "TeammateIdle", teammate_name="ann", team_name="session-d824aa89", cwd="/work", permission_mode="default"
        )
    )
    assert isinstance(event, hook_events.TeammateIdle)
    assert (event.teammate_name, event.team_name, event.model_extra) == ("ann", "session-d824aa89", {})


# -- missing, unknown, unexpected ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(REGISTERED))
def test_only_session_and_name_are_required(event: str) -> None:
    """Every registered event has a model of its own that reads without any optional field."""
    parsed = parse(payload(event))
    assert type(parsed).__name__ == event
    assert parsed.session_id == "s-1"


@pytest.mark.parametrize(
    "event",
    ["", "stop", "Brand New Event", "OtherEvent", "HookEvent", "ToolEvent", *sorted(KNOWN_EVENTS - REGISTERED.keys())],
)
def test_an_unknown_event_is_kept(event: str) -> None:
    """An event of a newer client, or one that is not registered, is an event all the same, with all its fields."""
    parsed = parse(payload(event, tool_name="Read", new={"deep": [1, None]}))
    assert type(parsed) is OtherEvent
    assert parsed.hook_event_name == event
    assert parsed.model_extra == {"tool_name": "Read", "new": {"deep": [1, None]}}


def test_unknown_fields_are_kept() -> None:
    """Whatever they are called: names that Python or pydantic use, too."""
    extra = {"new_field": 1, "model_config": 2, "model_extra": 3, "__class__": 4, "": 5, "self": 6}
    assert parse(payload("Stop", **extra)).model_extra == extra


@pytest.mark.parametrize("missing", ["hook_event_name", "session_id"])
@pytest.mark.parametrize("value", [None, 7, [], {}, True], ids=repr)
def test_a_payload_without_a_session_or_an_event_is_refused(missing: str, value: Any) -> None:
    """Absent or of a type that cannot be one: refused, and the message names the field."""
    fields = {"hook_event_name": "Stop", "session_id": "s-1", "prompt": SECRET}
    for broken in ({**fields, missing: value}, {key: item for key, item in fields.items() if key != missing}):
        with pytest.raises(PayloadError, match=missing) as raised:
            parse(json.dumps(broken).encode())
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ("StopFailure", "error", {"type": "overloaded"}),
        ("PostToolUse", "tool_name", ["Read"]),
        ("PostToolUse", "duration_ms", "soon"),
        ("PostToolUse", "duration_ms", -1),
        ("PostToolUse", "duration_ms", math.nan),
        ("PostToolUse", "duration_ms", math.inf),
        ("PostToolUse", "duration_ms", 1e300),
        ("SessionStart", "context_tokens", 1.5),
        ("TaskCreated", "task_id", 7),
    ],
)
def test_a_field_of_an_unexpected_type_is_kept_as_unknown(event: str, field: str, value: Any) -> None:
    """One field that changed its type in a newer client does not cost the event, nor its other fields."""
    parsed = parse(payload(event, **{field: value, "cwd": "/work"}))
    default = type(parsed).model_fields[field].default
    assert getattr(parsed, field) == default
    assert parsed.cwd == "/work"
    kept = (parsed.model_extra or {})[f"{field}{UNEXPECTED}"]
    assert kept == value or kept != kept  # noqa: PLR0124 -- not a number is not even itself


# -- broken --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        b"", b" \n\t", b"\0", b"null", b"true", b"7", b'"text"', b"[]", b"[[]]", b'[{"hook_event_name": "Stop", "session_id": "s"}]',
        b"{}", b"{", b'{"hook_event_name": "Stop", "session_id": "s"', b'{"hook_event_name": "Stop", "session_id": "s"}}',
        b'{"hook_event_name": "Stop", "session_id": "s"} {}', b"\xff\xfe", b"NaN", b"9" * 5000,
        b'{"hook_event_name": "Stop", "session_id": "s", "x": ' + b"9" * 5000 + b"\xff}",
        '{"hook_event_name": "Stop", "session_id": "s"}'.encode("utf-16"),
        payload()[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        payload()[:-1] + b', "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
    ids=lambda broken: repr(broken[:40]),
)  # fmt: skip
def test_what_is_no_event_is_refused(broken: bytes) -> None:
    """Empty, no object, truncated, in another encoding, nested without end: one kind of error, in words."""
    with pytest.raises(PayloadError) as raised:
        parse(broken)
    assert str(raised.value)


def test_every_truncation_is_refused() -> None:
    """A payload that ends early is never taken for an event."""
    whole = payload("PostToolUse", tool_input={"file_path": "/a/ü.py", "content": 'x "\\ y'}, duration_ms=12)
    assert parse(whole)
    for length in range(len(whole)):
        with pytest.raises(PayloadError):
            parse(whole[:length])


def test_broken_utf8_is_replaced() -> None:
    """A cut multi-byte character costs itself only."""
    event = parse(b'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "caf\xc3 \xff!"}')
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.prompt == "caf\ufffd \ufffd!"


def test_lone_surrogates_are_replaced_everywhere() -> None:
    r"""JavaScript writes half a character as ``\udXXX``; no UTF-8 can hold it, so no value or key may."""
    event = parse(
        rb'{"hook_event_name": "PostToolUse", "session_id": "s", "tool_input": {"k\ud800": ["\udfff", {"x": "a\ud83d"}]}, "new\udc00": 1}'
    )
    assert event.model_dump_json()  # which writes UTF-8
    json.dumps(event.model_dump(), ensure_ascii=False).encode()
    assert event.model_extra == {"new?": 1}


def test_whole_characters_beyond_the_plane_survive() -> None:
    r"""A pair of ``\u`` escapes is one character, in a payload that needs repair elsewhere as well."""
    event = parse(
        rb'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "\ud83d\ude00", "x": "\ud800"}'
    )
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.prompt == "😀"


def test_nul_characters_and_huge_numbers_are_values_like_others() -> None:
    """They are kept where anything may be."""
    event = parse(payload("PostToolUse", tool_input={"a\0b": "\0"}, big=10**300, tool_use_id="t\0"))
    assert isinstance(event, hook_events.PostToolUse)
    assert (event.tool_input, event.tool_use_id) == ({"a\0b": "\0"}, "t\0")
    assert (event.model_extra or {})["big"] == 10**300


def test_a_payload_of_many_megabytes_parses() -> None:
    """The size of a file that was written says nothing about the event."""
    event = parse(payload("PostToolUse", tool_input={"content": "ü" * 5_000_000}))
    assert isinstance(event, hook_events.PostToolUse)
    assert len(event.tool_input["content"]) == 5_000_000


@pytest.mark.parametrize(
    ("prompt", "human"),
    [
        ("fix it", True),
        ("", True),
        ("what is <task-notification>?", True),
        ("<task-notification>done", False),
        ("\n <task-notification>", False),
    ],
)
def test_reports_of_background_tasks_are_not_human(prompt: str, human: bool) -> None:
    """They come as prompts; only their beginning tells."""
    event = parse(payload("UserPromptSubmit", prompt=prompt))
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.is_human is human


# -- anything ------------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({name for model in hook_events._MODELS.values() for name in model.model_fields})
NAMES = st.sampled_from([*sorted(REGISTERED), "Unheard"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=8), NAMES)
def test_with_name_and_session_every_object_is_an_event(fields: dict[str, Any], event: str) -> None:
    """Whatever the other fields hold: nothing is refused, and no field is lost."""
    given_fields = fields | {"hook_event_name": event, "session_id": "s"}
    parsed = parse(json.dumps(given_fields).encode())
    assert isinstance(parsed, HookEvent)
    assert (parsed.hook_event_name, parsed.session_id) == (event, "s")
    names = parsed.model_fields_set | (parsed.model_extra or {}).keys()
    assert {name.removesuffix(UNEXPECTED) for name in names} == given_fields.keys()


def _quoted(value: Any) -> set[str]:
    """Every text in a value that is long enough to be recognized."""
    if isinstance(value, str):
        return {value} if len(value) > 5 else set()
    if isinstance(value, list | dict):
        parts = value if isinstance(value, list) else [*value.keys(), *value.values()]
        return set().union(*map(_quoted, parts)) if parts else set()
    return set()


def _check(raw: bytes, secrets: set[str]) -> None:
    try:
        assert isinstance(parse(raw), HookEvent)
    except PayloadError as error:
        assert not {secret for secret in secrets if secret in str(error)}


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_any_json_is_an_event_or_refused_without_quoting_it(value: Any) -> None:
    """Nothing but PayloadError is ever raised, and its message holds nothing of the payload."""
    names = " ".join(hook_events.HookEvent.model_fields)  # a message may name a field: no secret
    _check(json.dumps(value).encode(), {text for text in _quoted(value) if text not in names})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(raw: bytes) -> None:
    """Nothing but PayloadError is ever raised."""
    _check(raw, set())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_payload_is_read_or_refused(data: st.DataObject) -> None:
    """Bytes cut out of, or put into, a real payload: an event or a PayloadError that quotes nothing."""
    whole = payload("UserPromptSubmit", prompt=f"my password is {SECRET}", permission_mode=SECRET)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    _check(whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:], {SECRET})
