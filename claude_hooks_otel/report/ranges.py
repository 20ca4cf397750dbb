"""The range of time that a report is about, from what a person writes: ``yesterday``, ``--last 7d``, ``--since 2026-11-01``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from claude_hooks_otel.series import periods
from claude_hooks_otel.series.periods import MACHINE, find_zone, moment, period_around
from claude_hooks_otel.units import END_OF_TIME, HOUR

# The words for a range.
WORDS: Final = ("today", "yesterday", "week", "month", "all")

_DAYS: Final = {"d": 1, "w": 7}


class RangeError(ValueError):
    """A range that nobody can understand. The message says what was expected."""


@dataclass(frozen=True, slots=True)
class Range:
    """From a moment to before another one.

    Attributes:
        since_ns: the first nanosecond, Unix time.
        until_ns: the nanosecond behind the last one.
        zone: the time zone whose days count.
    """

    since_ns: int
    until_ns: int
    zone: tzinfo

    def local(self, at_ns: int) -> datetime:
        """Return a time in the zone."""
        return moment(at_ns, self.zone)


def parse_range(
    word: str | None, *, since: str | None, until: str | None, last: str | None, zone: str | None, now_ns: int
) -> Range:
    """Return the range that the arguments of a command describe. Without any, it is everything.

    Args:
        word: one of WORDS. A week begins on Monday.
        since: a date or a time. A date is its first moment.
        until: a date or a time. A date is its last moment.
        last: a number with ``h``, ``d`` or ``w``. Hours end now. Days are whole days of the calendar, and today is the last of them; a week
            is seven days.
        zone: an IANA name such as ``Europe/Berlin``; None for the zone of this machine.
        now_ns: the time, Unix nanoseconds.

    Raises:
        RangeError: a word or date is not valid, or they contradict each other.
    """
    if sum(part is not None for part in (word, last, since or until)) > 1:
        raise RangeError("a range is one of: a word (today, week, …), --last, or --since and --until")
    local = _zone(zone)
    now = moment(now_ns, local)
    if word is not None and word not in WORDS:
        raise RangeError(f"{word!r} is no range: one of {', '.join(WORDS)} is expected")
    if word not in (None, "all"):
        first, behind = _of_word(str(word), now)
        return Range(nanoseconds(first), nanoseconds(behind), local)
    if last is not None:
        return _last(last, now, now_ns)
    first_ns = 0 if since is None else nanoseconds(_moment("--since", since, local)[0])
    behind_ns = END_OF_TIME if until is None else nanoseconds(_moment("--until", until, local)[1])
    if first_ns >= behind_ns:
        raise RangeError("--since is not before --until")
    return Range(first_ns, behind_ns, local)


def range_before(within: Range, now_ns: int) -> Range | None:
    """Return the range of the same length before a range, to compare with; None if the range has no beginning.

    A range that is not over, such as this week, is compared with as much of the range before.
    """
    if within.since_ns <= 0:
        return None
    over_ns = min(within.until_ns, max(now_ns, within.since_ns + 1))
    whole_ns = (now_ns if within.until_ns == END_OF_TIME else within.until_ns) - within.since_ns
    since_ns = max(within.since_ns - whole_ns, 0)
    return Range(since_ns, since_ns + over_ns - within.since_ns, within.zone)


def _of_word(word: str, now: datetime) -> tuple[datetime, datetime]:
    if word == "today":
        return period_around("day", now)
    if word == "yesterday":
        return period_around("day", now - timedelta(days=1))
    return period_around("week" if word == "week" else "month", now)


def _last(text: str, now: datetime, now_ns: int) -> Range:
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if match is None or not int(match[1]):
        raise RangeError(f"--last {text}: a number with h, d or w is expected, such as 24h, 7d or 4w")
    number, unit = int(match[1]), match[2]
    if unit == "h":
        return Range(now_ns - number * HOUR, END_OF_TIME, now.tzinfo or MACHINE)
    today, tomorrow = period_around("day", now)
    try:
        first = today - timedelta(days=number * _DAYS[unit] - 1)
    except OverflowError:
        raise RangeError(f"--last {text} is beyond the years that count") from None
    return Range(nanoseconds(first), nanoseconds(tomorrow), now.tzinfo or MACHINE)


def _moment(option: str, text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when a date or a time begins, and when it is over."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RangeError(
            f"{option} {text}: a date or a time is expected, such as 2026-11-01 or 2026-11-01T09:30"
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    is_date = re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}(-?[0-9])?", text) is not None
    return at, at + timedelta(days=1) if is_date else at


def _zone(name: str | None) -> tzinfo:
    try:
        return find_zone(name)
    except ValueError as error:
        raise RangeError(f"--tz {error}") from None


def nanoseconds(at: datetime) -> int:
    """Return a time with a zone as Unix nanoseconds.

    Raises:
        RangeError: the zone does not know the time, because it is next to the first or the last year that a date can have.
    """
    try:
        return periods.nanoseconds(at)
    except (OverflowError, ValueError):
        raise RangeError(f"{at:%Y-%m-%d} is beyond the years that count") from None


EVERYTHING: Final = Range(0, END_OF_TIME, MACHINE)
"""All that was ever captured or imported, in the days of this machine."""
