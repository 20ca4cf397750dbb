"""Removes secrets from texts that leave the machine.

Three groups of rules find them: the formats of tokens (``token_formats``), places such as options, headers and URLs
(``secret_places``), and telling names with a value that looks random or chosen by a person (``plausible``). Each rule sees the text as
it is, and decoded: escapes, URL encoding, broken lines, base64 (``written_forms``).

The rules run on RE2. Its time is linear in the length of the text, whatever the text is. The scanners that were compared miss more
secrets; see decision 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from claude_hooks_otel.facts.secret_redaction.secret_places import (
    ASSIGNED,
    OPTION,
    PLACES,
    Span,
    assigned,
    options,
    placed,
)
from claude_hooks_otel.facts.secret_redaction.token_formats import (
    BEGIN_OF_KEY,
    END_OF_KEY,
    PRIVATE_KEY,
    SHAPED,
    kind_of,
    prefixed_expressions,
)
from claude_hooks_otel.facts.secret_redaction.written_forms import views

# How many characters after the kept ones are searched for the end of a secret. A PEM key of 8192 bits has 6400.
MARGIN: Final = 8192
TRUNCATED: Final = "…"

# What reads a rule's match in a text.
_Read = Callable[[bytes, Any], Iterator[Span]]


class SecretRedactor:
    """Replaces the secrets in a text. Building a redactor imports RE2 and compiles the rules (about 20 ms, 6 MB)."""

    def __init__(self) -> None:
        import re2  # noqa: PLC0415 — few users need it

        options_of_re2 = re2.Options()
        options_of_re2.encoding = re2.Options.Encoding.LATIN1

        def compiled(expression: str) -> Any:
            return re2.compile(expression.encode(), options_of_re2)

        self._rules: list[tuple[str, Any, _Read]] = [
            *(("tokens with a prefix", compiled(expression), _token) for expression in prefixed_expressions()),
            *((kind, compiled(expression), _shaped(kind)) for kind, expression in SHAPED),
            *((kind, compiled(expression), placed(kind, when)) for kind, when, expression in PLACES),
            ("values after a name", compiled(ASSIGNED), assigned),
            ("values of an option", compiled(OPTION), options),
        ]
        self._begin_of_key = compiled(BEGIN_OF_KEY)
        self._end_of_key = compiled(END_OF_KEY)

    def __call__(self, text: str, max_characters: int) -> str:
        """Return the text's first ``max_characters``, with ``[REDACTED:its-kind]`` for each secret that begins in them.

        A text that is cut ends with ``…``.
        """
        data = _encoded(text[: max_characters + MARGIN])
        limit = len(_encoded(text[:max_characters]))
        parts, done = [], 0
        for begin, end, kind in self._spans(data):
            if begin >= limit:
                break
            if end <= done:
                continue
            if begin >= done:  # otherwise it overlaps the previous secret and only extends it
                parts += [data[done:begin], f"[REDACTED:{kind}]".encode()]
            done = end
        parts.append(data[done:limit])
        shown = b"".join(parts).decode("utf-8", "surrogatepass")
        complete = len(text) <= max_characters + MARGIN and max(done, limit) == len(data)
        return shown if complete else shown + TRUNCATED

    def rules(self) -> list[tuple[str, Any]]:
        """Return (name, compiled expression) of every rule."""
        keys = [(PRIVATE_KEY, self._begin_of_key), (PRIVATE_KEY, self._end_of_key)]
        return [(name, pattern) for name, pattern, _ in self._rules] + keys

    def _spans(self, data: bytes) -> list[Span]:
        """Return (begin, end, kind) of every secret, sorted by beginning, the longer one first."""
        found = [
            (*_whole_characters(data, *view.span(begin, end)), kind)
            for view in views(data)
            for begin, end, kind in self._matches(view.data)
            if end > begin
        ]
        return sorted(found, key=lambda span: (span[0], -span[1], span[2]))

    def _matches(self, data: bytes) -> Iterator[Span]:
        for _, pattern, read in self._rules:
            for match in pattern.finditer(data):
                yield from read(data, match)
        at = 0
        while begin := self._begin_of_key.search(data, at):
            end = self._end_of_key.search(data, begin.end())
            at = end.end() if end else len(data)
            yield begin.start(), at, PRIVATE_KEY


def _token(_: bytes, match: Any) -> Iterator[Span]:
    yield match.start(), match.end(), kind_of(match[0])


def _shaped(kind: str) -> _Read:
    def read(_: bytes, match: Any) -> Iterator[Span]:
        yield match.start(match.re.groups), match.end(match.re.groups), kind

    return read


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _whole_characters(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """Extend a span to whole characters of UTF-8."""
    while begin > 0 and data[begin] & 0xC0 == 0x80:
        begin -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return begin, end
