"""Removes secrets from texts that leave the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from claude_hooks_otel.facts.secret_redaction.secret_places import ASSIGNED, OPTION, PLACES, assigned, options, placed
from claude_hooks_otel.facts.secret_redaction.token_formats import (
    BEGIN_OF_KEY,
    END_OF_KEY,
    PRIVATE_KEY,
    SHAPED,
    kind_of,
    prefixed_expression,
)
from claude_hooks_otel.facts.secret_redaction.written_forms import views

# How many characters after the kept ones are searched for the end of a secret. A PEM key of 8192 bits has 6400.
MARGIN: Final = 8192
TRUNCATED: Final = "…"

Span = tuple[int, int, str]


class SecretRedactor:
    """Replaces the secrets in a text. Building a redactor compiles the rules."""

    def __init__(self) -> None:
        import re2  # noqa: PLC0415 — few users need it

        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False

        def compiled(expression: str) -> Any:
            return re2.compile(expression.encode(), options)

        self._prefixed = compiled(prefixed_expression())
        self._shaped = [(kind, compiled(expression)) for kind, expression in SHAPED]
        self._placed = [(kind, when, compiled(expression)) for kind, when, expression in PLACES]
        self._assigned = compiled(ASSIGNED)
        self._option = compiled(OPTION)
        self._begin_of_key = compiled(BEGIN_OF_KEY)
        self._end_of_key = compiled(END_OF_KEY)

    def __call__(self, text: str, max_characters: int) -> str:
        """Return the text's first ``max_characters``, with ``[REDACTED:its-kind]`` for each secret that begins in them.

        A text that is cut ends with ``…``.
        """
        data = text[: max_characters + MARGIN].encode("utf-8", "surrogatepass")
        limit = len(text[:max_characters].encode("utf-8", "surrogatepass"))
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
        return shown + TRUNCATED if len(text) > max_characters and (done < len(data) or len(text) > max_characters + MARGIN) else shown

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
        yield from self._private_keys(data)
        for match in self._prefixed.finditer(data):
            yield match.start(), match.end(), kind_of(match[0])
        for kind, pattern in self._shaped:
            for match in pattern.finditer(data):
                yield match.start(pattern.groups), match.end(pattern.groups), kind
        for kind, when, pattern in self._placed:
            for match in pattern.finditer(data):
                yield from placed(match, kind, when)
        yield from assigned(data, self._assigned.finditer(data))
        yield from options(data, self._option.finditer(data))

    def _private_keys(self, data: bytes) -> Iterator[Span]:
        at = 0
        while begin := self._begin_of_key.search(data, at):
            end = self._end_of_key.search(data, begin.end())
            at = end.end() if end else len(data)
            yield begin.start(), at, PRIVATE_KEY


def _whole_characters(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """Extend a span to whole characters of UTF-8."""
    while begin > 0 and data[begin] & 0xC0 == 0x80:
        begin -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return begin, end
