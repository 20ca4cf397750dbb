"""Removes secrets from texts that leave the machine, with the rules of detect-secrets.

Why that library: Yelp maintains it, many projects use it as a pre-commit check, it is pure Python, and its rules are regular
expressions that show *where* in a text a secret is. Its fork bc-detect-secrets has more releases but lacks the rules for GitLab,
OpenAI, PyPI and Telegram. gitleaks and betterleaks cover more providers, but they are Go programs of 20–30 MB without a wheel for
every machine.

This module uses the rules without the scanner. The scanner reads files line by line and skips texts that do not look like secrets.
For some rules it returns only a group of the expression (for a GitHub token ``ghp``). Two kinds of rules are left out: rules that
guess by randomness, because they would hide paths, hashes and ids, and the rule for IP addresses. ``_OURS`` adds secrets that users
of Claude Code have and the library misses.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

# How many characters after the kept ones are searched for the end of a secret. A PEM key of 8192 bits has 6400.
MARGIN: Final = 8192
TRUNCATED: Final = "…"

_IP_ADDRESS: Final = "Public IP (ipv4)"
_PRIVATE_KEY: Final = "Private Key"
_KEYWORD: Final = "Secret Keyword"
# The end of a private key. The library's rules match only its beginning.
_END_OF_KEY: Final = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|Private-MAC: *[0-9a-f]*")
# Characters around a token that the rules also match.
_AROUND: Final = " \t\r\n=:\"'"
# The rest of a token, because some rules match only its beginning.
_REST_OF_TOKEN: Final = re.compile(r"(?<=[\w\-+/=.])[\w\-+/=.]*")
# Escaped quotes and line feeds, as in JSON inside JSON. The rules expect plain ones.
_ESCAPED: Final = re.compile(r"""(?<!\\)(\\++)(["'n])""")
# A keyword may be the start of a longer name. The library sets no limit to its length, and 12 KB of keywords alone took 23 s.
_NAME_GOES_ON: Final = (r"\w*", r"\w{0,40}")

_OURS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    # Source: the providers' descriptions of their formats.
    ("Anthropic Key", re.compile(r"sk-ant-[A-Za-z0-9_\-]{8,}")),
    ("OpenAI Token", re.compile(r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{20,}")),
    ("GitHub Token", re.compile(r"github_pat_[A-Za-z0-9_]{22,}")),
    ("Google API Key", re.compile(r"AIza[A-Za-z0-9_\-]{35}")),
    ("Google OAuth Token", re.compile(r"ya29\.[A-Za-z0-9_\-]{20,}")),
    ("Hugging Face Token", re.compile(r"hf_[A-Za-z0-9]{30,}")),
    # Source: RFC 7617, RFC 6750.
    ("Authorization Header", re.compile(r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?[^\s\"',;]{8,}")),
    ("Bearer Token", re.compile(r"(?i)\bbearer\s+[a-z0-9_\-.~+/]{16,}=*")),
    # The library lacks the keyword "token". Numbers of tokens are shorter than this.
    ("Secret Token", re.compile(r"(?i)token[\"']?\s*[:=]\s*[\"']?[^\s\"',;{}()$<]{16,}")),
    (_PRIVATE_KEY, re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")),
)


class SecretRedactor:
    """Replaces the secrets in a text. Building a redactor imports the library (about 0.2 s, 20 MB)."""

    def __init__(self) -> None:
        from detect_secrets.core.plugins.util import (  # noqa: PLC0415 — it is slow, and few users need it
            get_mapping_from_secret_type_to_class,
        )
        from detect_secrets.plugins import keyword  # noqa: PLC0415

        plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
        self._rules: list[tuple[str, re.Pattern[str]]] = [
            (name, pattern)
            for name, plugin in plugins.items()
            if name != _IP_ADDRESS
            for pattern in getattr(plugin, "denylist", ())
        ]
        self._rules += _OURS
        # A text has no file type. So the rules for code (values in quotes) and for configuration (``KEY=value``) both apply.
        keyword_rules: dict[re.Pattern[str], int] = {
            **keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
            **keyword.GOLANG_DENYLIST_REGEX_TO_GROUP,
            **keyword.CONFIG_DENYLIST_REGEX_TO_GROUP,
            **keyword.C_PLUS_PLUS_REGEX_TO_GROUP,
            **keyword.COMMON_C_DENYLIST_REGEX_TO_GROUP,
        }
        self._keyword_rules = [
            (re.compile(pattern.pattern.replace(*_NAME_GOES_ON), pattern.flags), group)
            for pattern, group in keyword_rules.items()
        ]
        self._keyword = re.compile(keyword.DENYLIST_REGEX, re.IGNORECASE)

    def __call__(self, text: str, max_characters: int) -> str:
        """Return the text's first ``max_characters``, with ``[REDACTED:its-kind]`` for each secret that begins in them.

        A text that is cut ends with ``…``.
        """
        parts, done = [], 0
        for begin, end, name in self._spans(text[: max_characters + MARGIN]):
            if begin >= max_characters:
                break
            if end <= done:
                continue
            if begin >= done:  # otherwise it overlaps the previous secret and only extends it
                parts += [text[done:begin], f"[REDACTED:{name.lower().replace(' ', '-')}]"]
            done = end
        parts.append(text[done:max_characters])
        if len(text) > max(done, max_characters):
            parts.append(TRUNCATED)
        return "".join(parts)

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return (begin, end, name of the rule) of every secret, sorted by beginning, the longer one first."""
        plain = _Plain(text)
        found = [
            (plain.begin(begin), plain.end(end), name)
            for begin, end, name in (*self._matches(plain.text), *self._assignments(plain.text))
            if end > begin
        ]
        return sorted(found, key=lambda span: (span[0], -span[1], span[2]))

    def _matches(self, text: str) -> Iterator[tuple[int, int, str]]:
        for name, pattern in self._rules:
            for match in pattern.finditer(text):
                begin = match.end() - len(match[0].lstrip(_AROUND))
                end = match.start() + len(match[0].rstrip(_AROUND))
                if name == _PRIVATE_KEY:
                    closing = _END_OF_KEY.search(text, end)
                    end = closing.end() if closing else len(text)
                elif rest := _REST_OF_TOKEN.match(text, end):
                    end = rest.end()
                yield begin, end, name

    def _assignments(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield the values after a keyword for a secret. The library's rules expect single lines."""
        begin = 0
        for line in text.splitlines(keepends=True):
            if self._keyword.search(line):
                for pattern, group in self._keyword_rules:
                    for match in pattern.finditer(line.rstrip("\r\n")):
                        yield begin + match.start(group), begin + match.end(group), _KEYWORD
            begin += len(line)


class _Plain:
    """A text in which escaped quotes and line feeds are plain. It maps its positions to those of the original."""

    def __init__(self, text: str) -> None:
        parts, done, removed = [], 0, 0
        self._since, self._removed = (
            [0],
            [0],
        )  # from each of these positions on, so many characters of the original are missing
        for match in _ESCAPED.finditer(text):
            parts += [text[done : match.start()], "\n" if match[2] == "n" else match[2]]
            removed += len(match[1])
            self._since.append(match.end() - 1 - removed)
            self._removed.append(removed)
            done = match.end()
        parts.append(text[done:])
        self.text = "".join(parts)

    def begin(self, position: int) -> int:
        """Return the position of a character in the original."""
        return position + self._removed[bisect_right(self._since, position) - 1]

    def end(self, position: int) -> int:
        """Return the position in the original after the character before ``position``."""
        return self.begin(position - 1) + 1
