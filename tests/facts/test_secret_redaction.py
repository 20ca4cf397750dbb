"""Secrets are removed from texts, in every form and to their last character. Other text stays."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_hooks_otel.facts.secret_redaction import MARGIN, SecretRedactor
from claude_hooks_otel.facts.secret_redaction.token_formats import PREFIXED, SHAPED
from claude_hooks_otel.facts.secret_redaction.written_forms import views

ALL = 10**6
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\")


@cache
def _redactor() -> SecretRedactor:
    return SecretRedactor()


def _redact(text: str, max_characters: int = ALL) -> str:
    return _redactor()(text, max_characters)


# -- the rules ----------------------------------------------------------------------------------------------------------------


def _examples(pattern: str) -> st.SearchStrategy[str]:
    flags = re.IGNORECASE if "(?i)" in pattern else 0
    return st.from_regex(re.compile(pattern.replace("(?i)", ""), flags), fullmatch=True, alphabet=PRINTABLE)


@pytest.mark.parametrize(("kind", "prefixes", "rest"), PREFIXED, ids=str)
def test_every_token_with_a_providers_prefix_is_removed_to_its_last_character(
    kind: str, prefixes: tuple[str, ...], rest: str
) -> None:
    @settings(max_examples=5, derandomize=True, database=None)
    @given(st.sampled_from(prefixes), _examples(rest.removesuffix(r"\b")))
    def check(prefix: str, rest: str) -> None:
        assert _redact(f"before {prefix}{rest}\n after") == f"before [REDACTED:{kind}]\n after"

    check()


@pytest.mark.parametrize(("kind", "pattern"), SHAPED, ids=lambda value: value[:40])
def test_every_token_of_a_known_shape_is_removed(kind: str, pattern: str) -> None:
    @settings(max_examples=5, derandomize=True, database=None)
    @given(_examples(pattern))
    def check(token: str) -> None:
        shown = _redact(f"before {token} after")
        secret = re.search(pattern, token)
        assert secret
        assert "[REDACTED:" in shown
        assert secret[secret.re.groups] not in shown

    check()


def test_every_rule_runs_on_an_engine_whose_time_is_linear() -> None:
    """RE2 guarantees it for every expression, and refuses those for which it could not."""
    assert {type(pattern).__module__ for _, pattern in _redactor().rules()} == {"re2"}
    assert len(_redactor().rules()) > 40


@pytest.mark.parametrize(
    "unit", ["\\n", "%41", "\\", "%", "a\n", "x" * 40 + "\n", "QUJD", "JTI1", "%2541", "\\u0041", "ghp_", "password="]
)
def test_the_decoded_forms_of_a_text_grow_with_the_text_only(unit: str) -> None:
    """No text makes the decoders work more than in proportion to its length."""
    small, large = ((unit * size)[:size].encode() for size in (4_000, 32_000))
    worked = [sum(len(view.data) for view in views(data)) for data in (small, large)]
    assert worked[0] <= 8 * (len(small) + 1000)
    assert worked[1] <= 8 * (len(large) + 1000)


def test_a_secret_that_is_encoded_twice_is_removed() -> None:
    token = "ghp_" + "aB3x" * 9
    once = base64.b64encode(f"export A={token}".encode()).decode()
    twice = base64.b64encode(f"data: {once}".encode()).decode()
    assert _redact(f"echo {twice} | base64 -d") == "echo [REDACTED:github-token] | base64 -d"
    assert _redact(urllib.parse.quote(json.dumps({"x": f'"{token}"'}), safe="")).count("[REDACTED:github-token]") == 1
    assert (
        _redact(urllib.parse.quote(urllib.parse.quote(f"a={token}&b", safe=""), safe=""))
        == "a%253D[REDACTED:github-token]%2526b"
    )


def test_texts_with_characters_of_several_bytes_keep_them() -> None:
    assert _redact("Größe – password=hunter2 – ü") == "Größe – password=[REDACTED:password] – ü"
    assert _redact("日本 " + "ghp_" + "a" * 36 + "語", 5) == "日本 [REDACTED:github-token]…"


# -- secrets of more than one line -----------------------------------------------------------------------------------------


KEY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDAoFUYprivate+"] * 20)


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
@pytest.mark.parametrize("written", [str, json.dumps, lambda text: json.dumps(json.dumps(text))])
def test_a_private_key_is_removed_with_all_its_lines(kind: str, written: object) -> None:
    assert callable(written)
    text = written(f"cat key\n-----BEGIN {kind}PRIVATE KEY-----\n{KEY}\n-----END {kind}PRIVATE KEY-----\nand on")
    shown = _redact(text)
    assert "MII" not in shown
    assert "private+" not in shown
    assert "cat key" in shown
    assert "and on" in shown


def test_a_private_key_without_an_end_is_removed_to_the_end_of_the_text() -> None:
    assert _redact(f"-----BEGIN PRIVATE KEY-----\n{KEY}") == "[REDACTED:private-key]"
    assert _redact(f"PuTTY-User-Key-File-2: ssh-rsa\n{KEY}\nPrivate-MAC: 0aff\nrest") == "[REDACTED:private-key]\nrest"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("curl -u https://me:hunter2@example.org/x", "curl -u https://me:[REDACTED:basic-auth-credentials]@example.org/x"),
        ("export DB_PASSWORD=hunter2", "export DB_PASSWORD=[REDACTED:password]"),
        ("export GITHUB_TOKEN=0123456789abcdef01", "export GITHUB_TOKEN=[REDACTED:token]"),
        ("export KEY=sk-ant-api03-aaaaBBBB_cc-dd", "export KEY=[REDACTED:anthropic-key]"),
        ("use github_pat_11ABCDEFG0abcdefghijkl_x1", "use [REDACTED:github-token]"),
        ("use ghp_" + "aB3" * 20 + " now", "use [REDACTED:github-token] now"),  # the rule's 36 characters are not all
        ("-H 'Authorization: Bearer abc.def-ghi'", "-H 'Authorization: Bearer [REDACTED:authorization-header]'"),
        ('{"authorization": "Basic dXNlcjpodW50ZXIy"}', '{"authorization": "Basic [REDACTED:authorization-header]"}'),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl ok", "[REDACTED:json-web-token] ok"),  # the signature, too
        ('{"key":"AKCp8aaaabbbbcccc"}', '{"key":"[REDACTED:jfrog-token]"}'),
        ('password = "one" and password = "two"', 'password = "[REDACTED:password]" and password = "[REDACTED:password]"'),
    ],
)  # fmt: skip
def test_a_secret_in_a_command_or_a_file_is_replaced_by_its_kind(text: str, shown: str) -> None:
    assert _redact(text) == shown


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_secret_in_escaped_quotes_is_removed(times: int) -> None:
    """JSON in JSON in JSON stays valid JSON."""
    text = '{"password": "hunter2", "user": "me"}'
    for _ in range(times):
        text = json.dumps({"command": text})
    shown = _redact(text)
    assert "hunter2" not in shown
    for _ in range(times):
        shown = json.loads(shown)["command"]
    assert json.loads(shown) == {"password": "[REDACTED:password]", "user": "me"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "please rename the function and run the tests",
        "git checkout 4f09f7ab06d446b226e0cf846f2b02a91a156d49 -- src/app/main.py",
        '{"file_path":"/home/dev/project/src/very/long/path/to/some_module_0123456789.py"}',
        "max_tokens=4096 --model claude-sonnet-4-5",
        '{"input_tokens":4096,"cache_read_input_tokens":123456}',
        "export DB_PASSWORD=$PASSWORD",
        'password = ""',
        "toolu_01ABCDEFGHIJKLMNOPQRSTUV and 123e4567-e89b-12d3-a456-426614174000",
        "http://127.0.0.1:4318/v1/traces",
        'C:\\new\\names and \\n \\" escapes \\',
    ],
)
def test_a_text_without_a_secret_does_not_change(text: str) -> None:
    assert _redact(text) == text


# -- cutting -----------------------------------------------------------------------------------------------------------------


def test_a_long_text_is_cut_and_ends_with_a_mark() -> None:
    assert _redact("a" * 10, 10) == "a" * 10
    assert _redact("a" * 11, 10) == "a" * 10 + "…"


def test_a_secret_across_the_cut_is_removed_completely() -> None:
    token = "ghp_" + "x" * 36
    for limit in range(1, 60):
        shown = _redact(f"use {token} now and then", limit)
        assert "ghp" not in shown
        assert "x" not in shown


def test_a_key_of_8192_bits_that_begins_before_the_cut_is_removed_to_its_end() -> None:
    body = ("A" * 64 + "\n") * 98
    assert len(body) < MARGIN
    text = f"x -----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----{' tail' * 1000}"
    assert _redact(text, 10) == "x [REDACTED:private-key]…"


def test_many_removed_secrets_leave_no_room_for_text_after_the_cut() -> None:
    """The kept text is a part of the original's beginning, however short its secrets became."""
    token = "ghp_" + "x" * 36
    shown = _redact(f"{token} " * 1000, 410)
    assert shown == "[REDACTED:github-token] " * 10 + "…"


@settings(max_examples=200, derandomize=True, database=None)
@given(st.text(alphabet="ab \\\"'n\n{}:=password", max_size=80), st.integers(1, 90))
def test_the_kept_parts_of_any_text_stay_in_order(text: str, limit: int) -> None:
    """The texts between the marks are in the original, in this order."""
    at = 0
    for part in re.split(r"\[REDACTED:[a-z-]+\]", _redact(text, limit).removesuffix("…")):
        found = text.find(part, at)
        assert found >= 0
        at = found + len(part)
    assert at <= limit
