"""How many lines ``git diff --numstat`` counts as added and deleted between two texts.

The line diff of Myers ("An O(ND) Difference Algorithm and Its Variations", 1986, linear-space form) with the shortcuts that
GNU diff and git put around it: lines the other text lacks are set aside first, common lines drowned in such lines as well, and
a long search takes a good enough way. The shortcuts cannot be left out: for a rewrite inside a file of some hundred lines git's
counts are not those of a minimal diff in about every third case. Held against the real git in ``tests/tool_effects/test_lines.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

# git takes a text for binary, and counts no lines, when its first so many bytes hold a NUL.
BINARY_PROBE_BYTES = 8000
# Steps of the inner loop, about two seconds (3,000 lines in a wholly new order): more would hold up everything that waits.
MAX_STEPS = 2_000_000

# git's own limits; the counts depend on each.
_MAX_COMMON = 1024  # occurrences: a line this frequent in the other text always counts as common
_NEIGHBOURHOOD = 100  # lines to each side that are asked whether a common line is drowned
_DROWNED_RATIO = 4  # unmatched neighbours for each common one, less one
_SEARCH_COST = 256  # edits after which a search may take a good enough way
_LONG_SNAKE = 20  # equal lines in a row that make a way a good one
_GOOD_PROGRESS = 4  # lines for each edit that make a way a good one

_UNMATCHED, _RARE, _COMMON = 0, 1, 2
_FAR = 1 << 60


class _TooLongError(Exception):
    """The search would take more than MAX_STEPS."""


class _Box(NamedTuple):
    """A part of both texts that still has to be compared; ``minimal``: without good enough ways."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    minimal: bool


def lines_of(text: str) -> list[str]:
    """The lines of ``text`` as git sees them: each with its line feed, the last one perhaps without. Nothing else ends a line."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def is_binary(text: str) -> bool:
    """Whether git would show no line counts for ``text``."""
    return "\0" in text[:BINARY_PROBE_BYTES].encode("utf-8", "replace")[:BINARY_PROBE_BYTES].decode("utf-8", "ignore")


def numstat(before: str, after: str) -> tuple[int, int] | None:
    """Lines (added, deleted) between two texts, as ``git diff --numstat`` prints them; (0, 0) for binary content.

    Returns:
        The two counts, or None where finding them would take more than MAX_STEPS.
    """
    if is_binary(before) or is_binary(after):
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


def _rough_root(number: int) -> int:
    """The cheap stand-in for a square root that git uses: the power of two next above it."""
    return 1 << ((number.bit_length() + 1) // 2)


def _worth_comparing(lines: Sequence[str], other: Sequence[str], start: int, end: int) -> list[str]:
    """The lines in ``start:end`` that take part in the comparison; the rest counts as changed without a look."""
    common = min(_rough_root(len(lines)), _MAX_COMMON)
    occurrences = Counter(other)
    kinds = [
        _UNMATCHED if not (found := occurrences[line]) else _COMMON if found >= common else _RARE
        for line in lines[start:end]
    ]
    return [
        lines[start + at]
        for at, kind in enumerate(kinds)
        if kind == _RARE or (kind == _COMMON and not _is_drowned(kinds, at))
    ]


def _is_drowned(kinds: Sequence[int], at: int) -> bool:
    """Whether the common line ``at`` stands among unmatched lines: a match would then mean nothing (a blank line, a brace)."""
    unmatched, common = 0, 2  # the line itself counts once for each side
    for side in (
        range(at - 1, max(at - _NEIGHBOURHOOD, 0) - 1, -1),
        range(at + 1, min(at + _NEIGHBOURHOOD + 1, len(kinds))),
    ):
        run = list(takewhile(lambda kind: kind != _RARE, (kinds[place] for place in side)))
        if _UNMATCHED not in run:
            return False
        unmatched += run.count(_UNMATCHED)
        common += run.count(_COMMON)
    return common * _DROWNED_RATIO < common + unmatched


class _Search:
    """Compares two sequences; a diagonal is the set of places (a, b) with the same ``a - b``.

    ``forward[diagonal]`` is the furthest place in ``a`` that a number of edits reaches from the start of a box,
    ``backward[diagonal]`` the same from its end. Diagonals below 0 index the lists from their end.
    """

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        self.a = [numbers.setdefault(line, len(numbers)) for line in a]
        self.b = [numbers.setdefault(line, len(numbers)) for line in b]
        diagonals = len(a) + len(b) + 3
        self.forward = [0] * diagonals
        self.backward = [0] * diagonals
        self.max_cost = max(_rough_root(diagonals), _SEARCH_COST)
        self.steps = 0

    def changed(self) -> tuple[int, int]:
        """Lines (added, deleted).

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
        """``box`` without the equal lines at its start and end."""
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
        """Two boxes, one after the other, whose differences are the differences of ``box``."""
        lowest, highest = box.a_start - box.b_end, box.a_end - box.b_start
        ahead = _Front(self.forward, box.a_start - box.b_start, -1, lowest, highest)
        behind = _Front(self.backward, box.a_end - box.b_end, _FAR, lowest, highest)
        self.forward[ahead.low], self.backward[behind.low] = box.a_start, box.a_end
        meets_ahead = (ahead.low - behind.low) % 2 == 1
        cost = 0
        while True:
            cost += 1
            ahead.widen()
            met, snake_ahead = self._advance(box, ahead, behind if meets_ahead else None)
            if met is not None:
                return _cut(box, met, minimal_first=True, minimal_second=True)
            behind.widen()
            met, snake_behind = self._retreat(box, behind, None if meets_ahead else ahead)
            if met is not None:
                return _cut(box, met, minimal_first=True, minimal_second=True)
            self.steps += len(ahead.places()) + len(behind.places())
            if self.steps > MAX_STEPS:
                raise _TooLongError
            if box.minimal:
                continue
            if (
                (snake_ahead or snake_behind)
                and cost > _SEARCH_COST
                and (good := self._good_way(box, ahead, behind, cost))
            ):
                return good
            if cost >= self.max_cost:
                return self._furthest_way(box, ahead, behind)

    def _advance(self, box: _Box, ahead: _Front, behind: _Front | None) -> tuple[tuple[int, int] | None, bool]:
        """One more edit from the start: where it met the search from the end, and whether it passed a long snake."""
        a, b, reached = self.a, self.b, ahead.reached
        a_end, b_end = box.a_end, box.b_end
        long_snake = False
        for diagonal in ahead.places():
            below, above = reached[diagonal - 1], reached[diagonal + 1]
            first = at_a = below + 1 if below >= above else above
            at_b = at_a - diagonal
            while at_a < a_end and at_b < b_end and a[at_a] == b[at_b]:
                at_a += 1
                at_b += 1
            long_snake = long_snake or at_a - first > _LONG_SNAKE
            reached[diagonal] = at_a
            if behind and behind.low <= diagonal <= behind.high and behind.reached[diagonal] <= at_a:
                return (at_a, at_b), long_snake
        return None, long_snake

    def _retreat(self, box: _Box, behind: _Front, ahead: _Front | None) -> tuple[tuple[int, int] | None, bool]:
        """One more edit from the end: where it met the search from the start, and whether it passed a long snake."""
        a, b, reached = self.a, self.b, behind.reached
        a_start, b_start = box.a_start, box.b_start
        long_snake = False
        for diagonal in behind.places():
            below, above = reached[diagonal - 1], reached[diagonal + 1]
            first = at_a = below if below < above else above - 1
            at_b = at_a - diagonal
            while at_a > a_start and at_b > b_start and a[at_a - 1] == b[at_b - 1]:
                at_a -= 1
                at_b -= 1
            long_snake = long_snake or first - at_a > _LONG_SNAKE
            reached[diagonal] = at_a
            if ahead and ahead.low <= diagonal <= ahead.high and at_a <= ahead.reached[diagonal]:
                return (at_a, at_b), long_snake
        return None, long_snake

    def _good_way(self, box: _Box, ahead: _Front, behind: _Front, cost: int) -> tuple[_Box, _Box] | None:
        """A split at a place far along that a long snake leads to (from the start) or away from (from the end)."""
        a, b = self.a, self.b
        good = _GOOD_PROGRESS * cost
        best, place = good, None
        middle = box.a_start - box.b_start
        for diagonal in ahead.places():
            at_a = ahead.reached[diagonal]
            at_b = at_a - diagonal
            progress = at_a - box.a_start + at_b - box.b_start - abs(diagonal - middle)
            inside = box.a_start + _LONG_SNAKE <= at_a < box.a_end and box.b_start + _LONG_SNAKE <= at_b < box.b_end
            if progress > best and inside and a[at_a - _LONG_SNAKE : at_a] == b[at_b - _LONG_SNAKE : at_b]:
                best, place = progress, (at_a, at_b)
        if place:
            return _cut(box, place, minimal_first=True, minimal_second=False)
        middle = box.a_end - box.b_end
        for diagonal in behind.places():
            at_a = behind.reached[diagonal]
            at_b = at_a - diagonal
            progress = box.a_end - at_a + box.b_end - at_b - abs(diagonal - middle)
            inside = box.a_start < at_a <= box.a_end - _LONG_SNAKE and box.b_start < at_b <= box.b_end - _LONG_SNAKE
            if progress > best and inside and a[at_a : at_a + _LONG_SNAKE] == b[at_b : at_b + _LONG_SNAKE]:
                best, place = progress, (at_a, at_b)
        return _cut(box, place, minimal_first=False, minimal_second=True) if place else None

    @staticmethod
    def _furthest_way(box: _Box, ahead: _Front, behind: _Front) -> tuple[_Box, _Box]:
        """A split at the place that the searches so far brought furthest from the start, or from the end."""
        most, from_start = -1, (0, 0)
        for diagonal in ahead.places():
            at_a = min(ahead.reached[diagonal], box.a_end, box.b_end + diagonal)
            if most < 2 * at_a - diagonal:
                most, from_start = 2 * at_a - diagonal, (at_a, at_a - diagonal)
        least, from_end = _FAR, (0, 0)
        for diagonal in behind.places():
            at_a = max(behind.reached[diagonal], box.a_start, box.b_start + diagonal)
            if 2 * at_a - diagonal < least:
                least, from_end = 2 * at_a - diagonal, (at_a, at_a - diagonal)
        if box.a_end + box.b_end - least < most - box.a_start - box.b_start:
            return _cut(box, from_start, minimal_first=True, minimal_second=False)
        return _cut(box, from_end, minimal_first=False, minimal_second=True)


class _Front:
    """The diagonals that one of the two searches has reached, and how far on each.

    Attributes:
        reached: the search's list of places.
        low: the lowest diagonal of the next edit.
        high: the highest.
    """

    __slots__ = ("_floor", "_highest", "_lowest", "high", "low", "reached")

    def __init__(self, reached: list[int], diagonal: int, floor: int, lowest: int, highest: int) -> None:
        self.reached = reached
        self.low = self.high = diagonal
        self._floor, self._lowest, self._highest = floor, lowest, highest

    def widen(self) -> None:
        """One more edit: a diagonal further on both sides, or where the box ends, one less (every edit changes parity)."""
        if self.low > self._lowest:
            self.low -= 1
            self.reached[self.low - 1] = self._floor
        else:
            self.low += 1
        if self.high < self._highest:
            self.high += 1
            self.reached[self.high + 1] = self._floor
        else:
            self.high -= 1

    def places(self) -> range:
        """The diagonals of this edit, the highest first."""
        return range(self.high, self.low - 1, -2)


def _cut(box: _Box, place: tuple[int, int], *, minimal_first: bool, minimal_second: bool) -> tuple[_Box, _Box]:
    at_a, at_b = place
    return (
        _Box(box.a_start, at_a, box.b_start, at_b, minimal_first),
        _Box(at_a, box.a_end, at_b, box.b_end, minimal_second),
    )
