"""The forms in which a text can hide a secret, decoded: escapes, URL encoding, broken lines and base64.

A view is a text with a map to the text that it was decoded from. What is found in a view is replaced in the original.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final

# How often a text is decoded again: JSON in JSON in a URL, base64 in base64.
_DEPTH: Final = 4
# All views together have at most so many times the bytes of the text. A text that only pretends to be encoded costs no more.
_BUDGET: Final = 8

# Backslashes in a row count as one: JSON in JSON doubles them. A backslash at the end of a line continues it. A plus is a blank in
# forms, which have no other blanks.
_BACKSLASHED: Final = rb"(?<!\\)\\++(?:(?P<char>[\"'/ntrbf])|(?:u00|x)(?P<hex>[0-7][0-9a-fA-F])|\r?\n[ \t]*+)"
_ENTITY: Final = rb"&(?P<entity>amp|lt|gt|quot|apos|#39|#x27|#34);"
_PERCENT: Final = re.compile(rb"%(?P<percent>[0-9a-fA-F]{2})")
_ESCAPE: Final = re.compile(b"|".join((_BACKSLASHED, _ENTITY, _PERCENT.pattern)))
_FORM: Final = re.compile(_ESCAPE.pattern + rb"|(?P<plus>\+)")
_CONTROL: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b" ", b"f": b" "}
_ENTITIES: Final = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"#34": b'"'}
# Widths at which programs break lines.
_WIDTHS: Final = frozenset((40, 50, 60, 64, 65, 70, 72, 76, 77, 78, 79, 80, 100, 120, 132))
_SHORTEST_LINE: Final = 20
# How much of the end of a line is looked at, and how much of a word must stand there.
_SEEN: Final = 64
_SHORTEST_RUN: Final = 4
_LAST_RUN: Final = re.compile(rb"[\w+/=.~%:-]*\Z")
_FIRST_RUN: Final = re.compile(rb"(?P<word>[\w+/=.~%!#*^-]{2,}+)(?P<after>[ '\"@&;,:]|\Z)?")
_RANDOM: Final = re.compile(rb"(?=.*\d)(?=.*[A-Za-z])|(?=.*[a-z])(?=.*[A-Z].*[A-Z])|\d{6}")
_BLOB: Final = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+={0,2}")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_PRINTABLE: Final = bytes((9, 10, 13, *range(32, 127)))


class View:
    """A decoded text, as pieces of another one.

    Attributes:
        data: the decoded text.
        origin: the view that it was decoded from. The text itself has none.
    """

    def __init__(self, origin: View | None, pieces: Iterator[tuple[bytes, int, int, bool]], data: bytes = b"") -> None:
        """Put the pieces together: (decoded bytes, begin and end in the origin, whether each byte stands for itself)."""
        self.origin = origin
        self._starts: list[int] = []
        self._pieces: list[tuple[int, int, bool]] = []
        parts, at = [], 0
        for piece, begin, end, same in pieces:
            if piece:
                self._starts.append(at)
                self._pieces.append((begin, end, same))
                parts.append(piece)
                at += len(piece)
        self.data = b"".join(parts) if origin is not None else data

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Return the span of the original text that a span of this view was decoded from."""
        if self.origin is None:
            return begin, end
        first = bisect_right(self._starts, begin) - 1
        last = bisect_right(self._starts, end - 1) - 1
        at, _, same = self._pieces[first]
        _, until, same_last = self._pieces[last]
        return self.origin.span(
            at + (begin - self._starts[first] if same else 0),
            self._pieces[last][0] + end - self._starts[last] if same_last else until,
        )


def views(data: bytes) -> Iterator[View]:
    """Yield the text and its decoded forms."""
    waiting = [(View(None, iter(()), data), 0)]
    seen: set[bytes] = set()
    left = _BUDGET * (len(data) + 1000)
    while waiting:
        view, depth = waiting.pop(0)
        left -= len(view.data)
        if view.data in seen or left < 0:
            continue
        seen.add(view.data)
        yield view
        if depth < _DEPTH:
            for decode in (_unescaped, _joined, _decoded):
                child = View(view, decode(view.data))
                if child.data and child.data != view.data:
                    waiting.append((child, depth + 1))


def _unescaped(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    done = 0
    escape = _FORM if b" " not in data and _PERCENT.search(data) else _ESCAPE
    for match in escape.finditer(data):
        yield data[done : match.start()], done, match.start(), True
        yield _character(match.groupdict()), match.start(), match.end(), False
        done = match.end()
    if done:
        yield data[done:], done, len(data), True


def _character(groups: Mapping[str, bytes | None]) -> bytes:
    if (char := groups["char"]) is not None:
        return _CONTROL.get(char, char)
    if (entity := groups["entity"]) is not None:
        return _ENTITIES.get(entity, b"'")
    if code := groups["hex"] or groups["percent"]:
        return bytes((int(code, 16),))
    return b" " if groups.get("plus") else b""


def _joined(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield the text without the line ends, and the indentation after them, at which a word seems to be broken."""
    lines = data.split(b"\n")
    longest = max(map(len, lines))
    at = before = skipped = 0
    for line, following in zip(lines, (*lines[1:], None), strict=True):
        begin, end = at + skipped, at + len(line)
        skipped = 0
        if following is not None and _is_broken(before, line.rstrip(b"\r"), following.rstrip(b"\r"), longest):
            end -= line.endswith(b"\r")
            if len(line) not in _WIDTHS:
                skipped = len(following) - len(following.lstrip(b" \t"))
        elif following is not None:
            end += 1
        yield data[begin:end], begin, end, True
        at += len(line) + 1
        before = len(line)


def _is_broken(before: int, line: bytes, following: bytes, longest: int) -> bool:
    """Tell whether a line goes on in the following one, because it is full or because a random word is cut."""
    width = len(line)
    if not line or not following:
        return False
    if width in _WIDTHS and len(following) <= width:
        return True
    run = _LAST_RUN.search(line, max(0, width - _SEEN))
    if not run or len(run[0]) < _SHORTEST_RUN:
        return False
    full = width in (before, len(following)) or (width == longest and len(following) < width)
    if full and width >= _SHORTEST_LINE and not following[:1].isspace():
        return True
    rest = _FIRST_RUN.match(following.lstrip(b" \t"))
    return bool(rest and rest["after"] is not None and _RANDOM.match(rest["word"][:_SEEN]))


def _decoded(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yield the texts in base64, each on a line of its own."""
    for match in _BLOB.finditer(data):
        blob = match[0].rstrip(b"=").translate(_URL_SAFE)
        if len(blob) % 4 == 1:
            blob = blob[:-1]
        try:
            text = base64.b64decode(blob + b"=" * (-len(blob) % 4))
        except binascii.Error:
            continue
        if len(text.translate(None, _PRINTABLE)) * 10 <= len(text):
            yield text + b"\n", match.start(), match.end(), False
