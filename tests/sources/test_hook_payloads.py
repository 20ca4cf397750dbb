"""Hook payloads of the real client, of a newer or broken one, and arbitrary bytes."""

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
    """Each is an event of the named kind. No field is dropped or has an unexpected type."""
    hooks = Scenario(name).hooks
    assert hooks
    for hook in hooks:
        event = parse(hook.payload)
        assert event.hook_event_name == hook.event == hook.fields["hook_event_name"]
        assert (type(event) is OtherEvent) == (hook.event not in REGISTERED)
        assert event.model_dump(exclude_unset=True) == hook.fields
        assert not [field for field in event.model_extra or () if field.endswith(UNEXPECTED)]


def test_the_models_have_every_recorded_field_of_a_registered_event() -> None:
    surprises = {
        f"{hook.event}.{field}"
        for name in SCENARIOS
        for hook in Scenario(name).hooks
        if hook.event in REGISTERED
        for field in parse(hook.payload).model_extra or ()
    }
    assert surprises == set()


def test_the_corpus_has_every_registered_event() -> None:
    assert REGISTERED.keys() - {hook.event for name in SCENARIOS for hook in Scenario(name).hooks} == set()


def test_a_teammate_idle_event_is_read_as_observed() -> None:
    """A real client sent these fields."""
    event = parse(
        payload(
            "TeammateIdle", teammate_name="ann", team_name="session-d824aa89", cwd="/work", permission_mode="default"
        )
    )
    assert isinstance(event, hook_events.TeammateIdle)
    assert (event.teammate_name, event.team_name, event.model_extra) == ("ann", "session-d824aa89", {})


# -- missing, unknown, unexpected ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(REGISTERED))
def test_only_session_and_event_name_are_required(event: str) -> None:
    """The model of each registered event accepts a payload without optional fields."""
    parsed = parse(payload(event))
    assert type(parsed).__name__ == event
    assert parsed.session_id == "s-1"


@pytest.mark.parametrize(
    "event",
    ["", "stop", "Brand New Event", "OtherEvent", "HookEvent", "ToolEvent", *sorted(KNOWN_EVENTS - REGISTERED.keys())],
)
def test_an_unknown_event_is_kept(event: str) -> None:
    """It has all its fields, whether a newer client sent it or the event is not registered."""
    parsed = parse(payload(event, tool_name="Read", new={"deep": [1, None]}))
    assert type(parsed) is OtherEvent
    assert parsed.hook_event_name == event
    assert parsed.model_extra == {"tool_name": "Read", "new": {"deep": [1, None]}}


def test_unknown_fields_are_kept() -> None:
    """They may have names that Python or pydantic use."""
    extra = {"new_field": 1, "model_config": 2, "model_extra": 3, "__class__": 4, "": 5, "self": 6}
    assert parse(payload("Stop", **extra)).model_extra == extra


@pytest.mark.parametrize("missing", ["hook_event_name", "session_id"])
@pytest.mark.parametrize("value", [None, 7, [], {}, True], ids=repr)
def test_a_payload_without_a_session_or_an_event_is_refused(missing: str, value: Any) -> None:
    """The field is missing or has a wrong type. The message names it."""
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
    """If a newer client changes the type of a field, the event and its other fields remain."""
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
def test_a_payload_that_is_no_event_is_refused(broken: bytes) -> None:
    """It is empty, no object, truncated, in another encoding or nested too deeply. The error is always a PayloadError with a message."""
    with pytest.raises(PayloadError) as raised:
        parse(broken)
    assert str(raised.value)


def test_a_truncated_payload_is_refused() -> None:
    """It is refused wherever it ends."""
    whole = payload("PostToolUse", tool_input={"file_path": "/a/ü.py", "content": 'x "\\ y'}, duration_ms=12)
    assert parse(whole)
    for length in range(len(whole)):
        with pytest.raises(PayloadError):
            parse(whole[:length])


def test_broken_utf8_is_replaced() -> None:
    """Only the cut multi-byte character is lost."""
    event = parse(b'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "caf\xc3 \xff!"}')
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.prompt == "caf\ufffd \ufffd!"


def test_lone_surrogates_are_replaced_everywhere() -> None:
    r"""JavaScript writes half a character as ``\udXXX``. UTF-8 cannot encode it, so no value and no key may have it."""
    event = parse(
        rb'{"hook_event_name": "PostToolUse", "session_id": "s", "tool_input": {"k\ud800": ["\udfff", {"x": "a\ud83d"}]}, "new\udc00": 1}'
    )
    assert event.model_dump_json()  # writes UTF-8
    json.dumps(event.model_dump(), ensure_ascii=False).encode()
    assert event.model_extra == {"new?": 1}


def test_characters_outside_the_basic_plane_are_kept() -> None:
    r"""A pair of ``\u`` escapes is one character, also in a payload that needs a repair elsewhere."""
    event = parse(
        rb'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "\ud83d\ude00", "x": "\ud800"}'
    )
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.prompt == "😀"


def test_nul_characters_and_huge_numbers_are_kept() -> None:
    """They are kept in fields that accept any value."""
    event = parse(payload("PostToolUse", tool_input={"a\0b": "\0"}, big=10**300, tool_use_id="t\0"))
    assert isinstance(event, hook_events.PostToolUse)
    assert (event.tool_input, event.tool_use_id) == ({"a\0b": "\0"}, "t\0")
    assert (event.model_extra or {})["big"] == 10**300


def test_a_payload_of_many_megabytes_is_an_event() -> None:
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
def test_a_report_of_a_background_task_is_no_prompt_of_a_human(prompt: str, human: bool) -> None:
    """Only the beginning of the text distinguishes them."""
    event = parse(payload("UserPromptSubmit", prompt=prompt))
    assert isinstance(event, hook_events.UserPromptSubmit)
    assert event.is_human is human


# -- arbitrary input -----------------------------------------------------------------------------------------------------

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


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=8), NAMES)
def test_every_object_with_event_name_and_session_is_an_event(fields: dict[str, Any], event: str) -> None:
    """No field is lost, whatever its value is."""
    given_fields = fields | {"hook_event_name": event, "session_id": "s"}
    parsed = parse(json.dumps(given_fields).encode())
    assert isinstance(parsed, HookEvent)
    assert (parsed.hook_event_name, parsed.session_id) == (event, "s")
    names = parsed.model_fields_set | (parsed.model_extra or {}).keys()
    assert {name.removesuffix(UNEXPECTED) for name in names} == given_fields.keys()


def _quoted(value: Any) -> set[str]:
    """Return every text in a value that is long enough to be recognized."""
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


@settings(max_examples=100)
@given(JSON)
def test_any_json_is_an_event_or_refused_without_a_quotation(value: Any) -> None:
    """Only PayloadError is raised, and its message has nothing of the payload."""
    names = " ".join(hook_events.HookEvent.model_fields)  # the message may name a field, which is no secret
    _check(json.dumps(value).encode(), {text for text in _quoted(value) if text not in names})


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(raw: bytes) -> None:
    """Only PayloadError is raised."""
    _check(raw, set())


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_payload_is_an_event_or_refused(data: st.DataObject) -> None:
    """Bytes are removed from or added to a real payload. The error quotes nothing of it."""
    whole = payload("UserPromptSubmit", prompt=f"my password is {SECRET}", permission_mode=SECRET)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    _check(whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:], {SECRET})
