"""The added and deleted lines between two texts, as ``git diff --numstat`` counts them.

Source: the linear-space line diff of Myers ("An O(ND) Difference Algorithm and Its Variations", 1986) with the shortcuts of GNU diff and
git. Lines that the other text lacks are set aside first, and so are common lines among many of them. A long search stops at a way that
is good enough. The shortcuts matter: after a rewrite inside a file of some hundred lines, git's counts differ from a minimal diff in
about every third case. ``tests/tool_effects/test_lines.py`` compares the counts with git's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

# A file is binary to git, and has no lines, if a NUL is among its first bytes. This is how many bytes git looks at.
BINARY_PROBE_BYTES = 8000
# Steps of the inner loop. They take about two seconds (3,000 lines in a new order). A longer search would delay all other work.
MAX_STEPS = 2_000_000

# Git's own limits. The counts depend on all of them.
_MAX_COMMON = 1024  # occurrences: a line this frequent in the other text always counts as common
_NEIGHBOURHOOD = 100  # lines on each side that decide whether a common line counts
_UNMATCHED_RATIO = 4  # a common line does not count among more than three times as many unmatched neighbours
_SEARCH_COST = 256  # edits after which a search may stop at a way that is good enough
_LONG_SNAKE = 20  # equal lines in a row that make a way good
_GOOD_PROGRESS = 4  # lines for each edit that make a way good

_UNMATCHED, _RARE, _COMMON = 0, 1, 2


class _TooLongError(Exception):
    """The search would take more than MAX_STEPS."""


class _Box(NamedTuple):
    """A part of both texts that is still to be compared. If it is ``minimal``, only the best way counts."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    minimal: bool


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as git sees them, with their line feeds. The last line may have none."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def numstat(before: str, after: str) -> tuple[int, int] | None:
    """Return the lines (added, deleted) between two texts, as ``git diff --numstat`` prints them.

    Binary content has (0, 0). Return None if the search would take more than MAX_STEPS.
    """
    if _is_binary(before) or _is_binary(after):
        return 0, 0
    a, b = lines_of(before), lines_of(after)
    start = sum(1 for _ in takewhile(bool, map(str.__eq__, a, b)))
    shorter = min(len(a), len(b)) - start
    tail = sum(
        1 for _ in takewhile(bool, (x == y for x, y, _ in zip(reversed(a), reversed(b), range(shorter), strict=False)))
    )
    if shorter == tail:
        return len(b) - start - tail, len(a) - start - tail
    kept_a = _worth_comparing(a, b, start, len(a) - tail)
    kept_b = _worth_comparing(b, a, start, len(b) - tail)
    try:
        added, deleted = _Search(kept_a, kept_b).changed()
    except _TooLongError:
        return None
    return added + len(b) - start - tail - len(kept_b), deleted + len(a) - start - tail - len(kept_a)


def _is_binary(text: str) -> bool:
    return "\0" in text[:BINARY_PROBE_BYTES].encode("utf-8", "replace")[:BINARY_PROBE_BYTES].decode("utf-8", "ignore")


def _rough_root(number: int) -> int:
    """Return git's approximation of a square root: the next power of two above it."""
    return 1 << ((number.bit_length() + 1) // 2)


def _worth_comparing(lines: Sequence[str], other: Sequence[str], start: int, end: int) -> list[str]:
    """Return the lines in ``start:end`` that are compared. All others count as changed."""
    common = min(_rough_root(len(lines)), _MAX_COMMON)
    occurrences = Counter(other)
    kinds = [
        _UNMATCHED if not (found := occurrences[line]) else _COMMON if found >= common else _RARE
        for line in lines[start:end]
    ]
    return [
        lines[start + at]
        for at, kind in enumerate(kinds)
        if kind == _RARE or (kind == _COMMON and not _is_isolated(kinds, at))
    ]


def _is_isolated(kinds: Sequence[int], at: int) -> bool:
    """Return whether a common line (a blank one, a brace) is among unmatched lines, so that a match would mean nothing."""
    unmatched, common = 0, 2  # the line itself counts once for each side
    before, after = kinds[max(at - _NEIGHBOURHOOD, 0) : at], kinds[at + 1 : at + _NEIGHBOURHOOD + 1]
    for side in (reversed(before), after):
        run = list(takewhile(lambda kind: kind != _RARE, side))
        if _UNMATCHED not in run:
            return False
        unmatched += run.count(_UNMATCHED)
        common += run.count(_COMMON)
    return common * _UNMATCHED_RATIO < common + unmatched


class _Search:
    """Compares two sequences of lines. It divides them into boxes and searches each box from both ends at once."""

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        self.a = [numbers.setdefault(line, len(numbers)) for line in a]
        self.b = [numbers.setdefault(line, len(numbers)) for line in b]
        self.backwards = self.a[::-1], self.b[::-1]
        diagonals = len(a) + len(b) + 3
        self.reached = [0] * diagonals, [0] * diagonals
        self.max_cost = max(_rough_root(diagonals), _SEARCH_COST)
        self.steps = 0

    def changed(self) -> tuple[int, int]:
        """Return the lines (added, deleted).

        Raises:
            _TooLongError: after MAX_STEPS.
        """
        added = deleted = 0
        boxes = [_Box(0, len(self.a), 0, len(self.b), minimal=False)]
        while boxes:
            box = self._shrunk(boxes.pop())
            if box.a_start == box.a_end or box.b_start == box.b_end:
                deleted += box.a_end - box.a_start
                added += box.b_end - box.b_start
            else:
                boxes.extend(self._split(box))
        return added, deleted

    def _shrunk(self, box: _Box) -> _Box:
        """Return a box without the equal lines at its start and end."""
        a, b = self.a, self.b
        a_start, a_end, b_start, b_end, minimal = box
        while a_start < a_end and b_start < b_end and a[a_start] == b[b_start]:
            a_start += 1
            b_start += 1
        while a_start < a_end and b_start < b_end and a[a_end - 1] == b[b_end - 1]:
            a_end -= 1
            b_end -= 1
        return _Box(a_start, a_end, b_start, b_end, minimal)

    def _split(self, box: _Box) -> tuple[_Box, _Box]:
        """Split a box into two boxes, one after the other, that together have the same differences."""
        a_size, b_size = len(self.a), len(self.b)
        mirrored = _Box(a_size - box.a_end, a_size - box.a_start, b_size - box.b_end, b_size - box.b_start, box.minimal)
        forward = _Front(self.a, self.b, mirrored=False, box=box, reached=self.reached[0])
        backward = _Front(*self.backwards, mirrored=True, box=mirrored, reached=self.reached[1])
        # The parity of the diagonals decides which of the two searches can meet the other one.
        meeting = forward if (forward.low + backward.low - (a_size - b_size)) % 2 else backward
        cost = 0
        while True:
            cost += 1
            for front, other in ((forward, backward), (backward, forward)):
                place = front.advance(other if front is meeting else None)
                if place is not None:
                    return _cut(box, place, minimal_first=True, minimal_second=True)
            self.steps += len(forward.diagonals) + len(backward.diagonals)
            if self.steps > MAX_STEPS:
                raise _TooLongError
            if box.minimal:
                continue
            if cost > _SEARCH_COST and (forward.long_snake or backward.long_snake):
                for front in (forward, backward):
                    if (place := front.good_place(cost)) is not None:
                        return _cut(box, place, minimal_first=front is forward, minimal_second=front is backward)
            if cost >= self.max_cost:
                (progress, place), (backward_progress, backward_place) = forward.furthest(), backward.furthest()
                if backward_progress < progress:
                    return _cut(box, place, minimal_first=True, minimal_second=False)
                return _cut(box, backward_place, minimal_first=False, minimal_second=True)


class _Front:
    """One of the two searches through a box. It finds how far a number of edits reaches from the box's start.

    A diagonal is the set of places (a, b) with the same ``a - b``. The search from the end of a box is the same search on reversed
    sequences with mirrored places. It visits the diagonals in the opposite order.

    Attributes:
        reached: the furthest place in ``a`` for each diagonal. A diagonal below 0 indexes the list from its end.
        low: the lowest diagonal of the latest edit.
        high: the highest diagonal of the latest edit.
        diagonals: the diagonals of the latest edit. Their parity changes with every edit.
        long_snake: whether the latest edit passed a long run of equal lines.
    """

    __slots__ = ("a", "b", "box", "diagonals", "high", "long_snake", "low", "mirrored", "reached")

    def __init__(self, a: list[int], b: list[int], *, mirrored: bool, box: _Box, reached: list[int]) -> None:
        self.a, self.b, self.mirrored, self.box, self.reached = a, b, mirrored, box, reached
        self.low = self.high = box.a_start - box.b_start
        self.diagonals = range(self.low, self.low + 1)
        self.long_snake = False
        reached[self.low] = box.a_start

    def advance(self, other: _Front | None) -> tuple[int, int] | None:
        """Make one more edit. Return the place where the search meets the ``other`` one; None if they do not meet."""
        self._widen()
        a, b, reached = self.a, self.b, self.reached
        a_end, b_end = self.box.a_end, self.box.b_end
        a_size, difference = len(a), len(a) - len(b)
        self.long_snake = False
        for diagonal in self.diagonals:
            below, above = reached[diagonal - 1], reached[diagonal + 1]
            first = at_a = below + 1 if below >= above else above
            at_b = at_a - diagonal
            while at_a < a_end and at_b < b_end and a[at_a] == b[at_b]:
                at_a += 1
                at_b += 1
            if at_a - first > _LONG_SNAKE:
                self.long_snake = True
            reached[diagonal] = at_a
            mirror = difference - diagonal
            if other and other.low <= mirror <= other.high and at_a + other.reached[mirror] >= a_size:
                return self._unmirrored(at_a, at_b)
        return None

    def good_place(self, cost: int) -> tuple[int, int] | None:
        """Return the furthest place after a long snake; None if no place made good progress for the cost."""
        a, b, box = self.a, self.b, self.box
        middle = box.a_start - box.b_start
        best, place = _GOOD_PROGRESS * cost, None
        for diagonal in self.diagonals:
            at_a = self.reached[diagonal]
            at_b = at_a - diagonal
            progress = at_a - box.a_start + at_b - box.b_start - abs(diagonal - middle)
            inside = box.a_start + _LONG_SNAKE <= at_a < box.a_end and box.b_start + _LONG_SNAKE <= at_b < box.b_end
            if progress > best and inside and a[at_a - _LONG_SNAKE : at_a] == b[at_b - _LONG_SNAKE : at_b]:
                best, place = progress, (at_a, at_b)
        return self._unmirrored(*place) if place else None

    def furthest(self) -> tuple[int, tuple[int, int]]:
        """Return the furthest place, and how many lines of progress it made."""
        box = self.box
        ends = ((diagonal, min(self.reached[diagonal], box.a_end, box.b_end + diagonal)) for diagonal in self.diagonals)
        at_a, at_b = max(((at_a, at_a - diagonal) for diagonal, at_a in ends), key=sum)
        return at_a - box.a_start + at_b - box.b_start, self._unmirrored(at_a, at_b)

    def _widen(self) -> None:
        """Add a diagonal on both sides. Where the box ends, remove one instead."""
        if self.low > self.box.a_start - self.box.b_end:
            self.low -= 1
            self.reached[self.low - 1] = -1
        else:
            self.low += 1
        if self.high < self.box.a_end - self.box.b_start:
            self.high += 1
            self.reached[self.high + 1] = -1
        else:
            self.high -= 1
        highest_first = range(self.high, self.low - 1, -2)
        self.diagonals = highest_first[::-1] if self.mirrored else highest_first

    def _unmirrored(self, at_a: int, at_b: int) -> tuple[int, int]:
        return (len(self.a) - at_a, len(self.b) - at_b) if self.mirrored else (at_a, at_b)


def _cut(box: _Box, place: tuple[int, int], *, minimal_first: bool, minimal_second: bool) -> tuple[_Box, _Box]:
    at_a, at_b = place
    return (
        _Box(box.a_start, at_a, box.b_start, at_b, minimal_first),
        _Box(at_a, box.a_end, at_b, box.b_end, minimal_second),
    )
