"""Takes secrets out of texts that leave the machine, by the rules of detect-secrets.

Why that library: it is Yelp's, many projects' pre-commit check, pure Python, and its rules are plain regular expressions that find
*where* in a text a secret stands. Its fork bc-detect-secrets is released more often but dropped the rules for GitLab, OpenAI, PyPI
and Telegram; gitleaks and betterleaks know more providers, but come as Go programs of 20–30 MB that have no wheel for every machine.

Only its rules are used, not its scanner: that reads files line by line, skips what looks like no secret, and returns of some rules
not the secret but a group of the expression (of a GitHub token ``ghp``). Left out are those that guess by randomness, which would
hide paths, hashes and ids, and the one for IP addresses. What the rules lack and a user of Claude Code has at hand is in ``_OURS``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

# Characters read beyond those that are kept: a secret that begins inside is still seen whole. A key of 8192 bits in PEM is 6400.
MARGIN: Final = 8192
TRUNCATED: Final = "…"

_IP_ADDRESS: Final = "Public IP (ipv4)"
_PRIVATE_KEY: Final = "Private Key"
_KEYWORD: Final = "Secret Keyword"
# Where the text of a private key ends; the library's rules only see where it begins.
_END_OF_KEY: Final = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|Private-MAC: *[0-9a-f]*")
# What a rule also matches to see where a token begins and ends.
_AROUND: Final = " \t\r\n=:\"'"
# A rule may match a token's beginning alone; what goes on without a break belongs to it.
_REST_OF_TOKEN: Final = re.compile(r"(?<=[\w\-+/=.])[\w\-+/=.]*")
# JSON within JSON: the rules expect plain quotes and lines.
_ESCAPED: Final = re.compile(r"""(?<!\\)(\\++)(["'n])""")
# A keyword may go on as a longer name, in the library's rules for ever: 12 KB of nothing but keywords then took 23 s.
_NAME_GOES_ON: Final = (r"\w*", r"\w{0,40}")

_OURS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    # Providers' own descriptions of their formats.
    ("Anthropic Key", re.compile(r"sk-ant-[A-Za-z0-9_\-]{8,}")),
    ("OpenAI Token", re.compile(r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{20,}")),
    ("GitHub Token", re.compile(r"github_pat_[A-Za-z0-9_]{22,}")),
    ("Google API Key", re.compile(r"AIza[A-Za-z0-9_\-]{35}")),
    ("Google OAuth Token", re.compile(r"ya29\.[A-Za-z0-9_\-]{20,}")),
    ("Hugging Face Token", re.compile(r"hf_[A-Za-z0-9]{30,}")),
    # RFC 7617, RFC 6750.
    ("Authorization Header", re.compile(r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?[^\s\"',;]{8,}")),
    ("Bearer Token", re.compile(r"(?i)\bbearer\s+[a-z0-9_\-.~+/]{16,}=*")),
    # The library's keywords have no "token"; counts of tokens are shorter.
    ("Secret Token", re.compile(r"(?i)token[\"']?\s*[:=]\s*[\"']?[^\s\"',;{}()$<]{16,}")),
    (_PRIVATE_KEY, re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")),
)


class SecretRedactor:
    """Finds and replaces. Building one imports the library (about 0.2 s, 20 MB)."""

    def __init__(self) -> None:
        from detect_secrets.core.plugins.util import (  # noqa: PLC0415 — it costs as much as a small daemon
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
        # A text names no file type: the rules for code (values in quotes) and for configuration (without), as ``KEY=value``.
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
        """The text's first ``max_characters``, each secret that begins in them as ``[REDACTED:its-kind]``; a cut is marked by ``…``."""
        parts, done = [], 0
        for begin, end, name in self._spans(text[: max_characters + MARGIN]):
            if begin >= max_characters:
                break
            if end <= done:
                continue
            if begin >= done:  # one that overlaps the last one only makes that longer
                parts += [text[done:begin], f"[REDACTED:{name.lower().replace(' ', '-')}]"]
            done = end
        parts.append(text[done:max_characters])
        if len(text) > max(done, max_characters):
            parts.append(TRUNCATED)
        return "".join(parts)

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """(begin, end, name of the rule) of every secret, in order of their beginnings, longer ones first."""
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
        """Values that are called a secret; the library's rules are made for single lines."""
        begin = 0
        for line in text.splitlines(keepends=True):
            if self._keyword.search(line):
                for pattern, group in self._keyword_rules:
                    for match in pattern.finditer(line.rstrip("\r\n")):
                        yield begin + match.start(group), begin + match.end(group), _KEYWORD
            begin += len(line)


class _Plain:
    """A text with its escaped quotes and line ends as plain ones, and where each character of it stands in the original."""

    def __init__(self, text: str) -> None:
        parts, done, removed = [], 0, 0
        self._since, self._removed = [0], [0]  # from this character on, so many characters of the original are left out
        for match in _ESCAPED.finditer(text):
            parts += [text[done : match.start()], "\n" if match[2] == "n" else match[2]]
            removed += len(match[1])
            self._since.append(match.end() - 1 - removed)
            self._removed.append(removed)
            done = match.end()
        parts.append(text[done:])
        self.text = "".join(parts)

    def begin(self, position: int) -> int:
        """Where the character stands in the original."""
        return position + self._removed[bisect_right(self._since, position) - 1]

    def end(self, position: int) -> int:
        """Where the original goes on after the character before ``position``."""
        return self.begin(position - 1) + 1
