"""Secrets are removed from texts, by the library's rules and by ours. Most other text stays."""

from __future__ import annotations

import inspect
import json
import re
from functools import cache

import pytest
from detect_secrets.plugins import keyword
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_hooks_otel.facts.secret_redaction import MARGIN, SecretRedactor

ALL = 10**6
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\")
# Characters around a token that do not belong to it.
AROUND = " =:\"'"
# The library's own expression does not match this sample either: it expects quotes.
UNFOUND = "my_password => bar"


@cache
def _redactor() -> SecretRedactor:
    return SecretRedactor()


def _redact(text: str, max_characters: int = ALL) -> str:
    return _redactor()(text, max_characters)


def _rules() -> list[tuple[str, re.Pattern[str], int]]:
    """(name, expression, the group that is the secret) of every rule in use."""
    rules = [(name, pattern, 0) for name, pattern in _redactor()._rules]
    return rules + [("Secret Keyword", pattern, group) for pattern, group in _redactor()._keyword_rules]


# -- the library's rules and samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "pattern", "group"), _rules(), ids=lambda value: str(value)[:40])
def test_everything_that_a_rule_matches_is_removed_to_its_last_character(
    name: str, pattern: re.Pattern[str], group: int
) -> None:
    """The secrets come from the expression of each rule and are on a line among others."""
    line = st.from_regex(pattern, fullmatch=True, alphabet=PRINTABLE)

    @settings(max_examples=10, derandomize=True, database=None)
    @given(line)
    def check(line: str) -> None:
        match = pattern.search(line)
        assert match is not None
        begin, end = (len("before\n") + at for at in match.span(group))
        text = f"before\n{line}\nafter"
        covered = {at for first, last, _ in _redactor()._spans(text) for at in range(first, last)}
        assert {at for at in range(begin, end) if text[at] not in AROUND} <= covered
        shown = _redact(text)
        assert shown.startswith("before\n")
        assert "[REDACTED:" in shown
        assert name == "Private Key" or shown.endswith("\nafter")

    check()


def _samples_of_the_library() -> list[str]:
    """The examples in the comments of its expressions for assignments (``# e.g. … or …``). The secret is always ``bar``."""
    lines = re.findall(r"^ *# (?:e\.g\.|or) (.+)$", inspect.getsource(keyword), re.MULTILINE)
    samples = [sample for line in lines for sample in line.split(" or ") if re.search(r"\bbar\b", sample)]
    assert len(samples) > 20
    return [sample for sample in dict.fromkeys(samples) if sample != UNFOUND]


@pytest.mark.parametrize("sample", _samples_of_the_library())
def test_the_secrets_in_the_librarys_own_samples_are_removed(sample: str) -> None:
    shown = _redact(sample)
    assert not re.search(r"\bbar\b", shown)
    assert "[REDACTED:secret-keyword]" in shown


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
        ("curl -u https://me:hunter2@example.org/x", "curl -u https:[REDACTED:basic-auth-credentials]example.org/x"),
        ("export DB_PASSWORD=hunter2", "export DB_PASSWORD=[REDACTED:secret-keyword]"),
        ("export GITHUB_TOKEN=0123456789abcdef01", "export GITHUB_[REDACTED:secret-token]"),
        ("export KEY=sk-ant-api03-aaaaBBBB_cc-dd", "export KEY=[REDACTED:anthropic-key]"),
        ("use github_pat_11ABCDEFG0abcdefghijkl_x1", "use [REDACTED:github-token]"),
        ("use ghp_" + "aB3" * 20 + " now", "use [REDACTED:github-token] now"),  # the rule's 36 characters are not all
        ("-H 'Authorization: Bearer abc.def-ghi'", "-H '[REDACTED:authorization-header]'"),
        ('{"authorization": "Basic dXNlcjpodW50ZXIy"}', '{"[REDACTED:authorization-header]"}'),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl ok", "[REDACTED:json-web-token] ok"),  # the signature, too
        ('{"key":"AKCp8aaaabbbbcccc"}', '{"key":"[REDACTED:artifactory-credentials]"}'),
        ('password = "one" and password = "two"', 'password = "[REDACTED:secret-keyword]" and password = "[REDACTED:secret-keyword]"'),
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
    assert json.loads(shown) == {"password": "[REDACTED:secret-keyword]", "user": "me"}


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
