"""The range of time that a report is about, from what a person writes: ``yesterday``, ``--last 7d``, ``--since 2026-11-01``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from claude_hooks_otel.units import END_OF_TIME, SECOND

# The words for a range.
WORDS: Final = ("today", "yesterday", "week", "month", "all")

_LENGTHS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        return (_EPOCH + timedelta(microseconds=at_ns // 1000)).astimezone(self.zone)


def parse_range(
    word: str | None, *, since: str | None, until: str | None, last: str | None, zone: str | None, now_ns: int
) -> Range:
    """Return the range that the arguments of a command describe. Without any, it is everything.

    Args:
        word: one of WORDS. A week begins on Monday.
        since: a date or a time. A date is its first moment.
        until: a date or a time. A date is its last moment.
        last: a number with ``h``, ``d`` or ``w``.
        zone: an IANA name such as ``Europe/Berlin``; None for the zone of this machine.
        now_ns: the time, Unix nanoseconds.

    Raises:
        RangeError: a word or date is not valid, or they contradict each other.
    """
    if sum(part is not None for part in (word, last, since or until)) > 1:
        raise RangeError("a range is one of: a word (today, week, …), --last, or --since and --until")
    local = _zone(zone)
    now = (_EPOCH + timedelta(microseconds=now_ns // 1000)).astimezone(local)
    if word is not None and word not in WORDS:
        raise RangeError(f"{word!r} is no range: one of {', '.join(WORDS)} is expected")
    if word not in (None, "all"):
        first, behind = _of_word(str(word), now)
        return Range(nanoseconds(first), nanoseconds(behind), local)
    if last is not None:
        return Range(now_ns - _length(last), END_OF_TIME, local)
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
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day = timedelta(days=1)
    if word == "today":
        return today, today + day
    if word == "yesterday":
        return today - day, today
    if word == "week":
        monday = today - day * today.weekday()
        return monday, monday + 7 * day
    first = today.replace(day=1)
    return first, (first + 32 * day).replace(day=1)


def _length(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if match is None or not int(match[1]):
        raise RangeError(f"--last {text}: a number with h, d or w is expected, such as 24h, 7d or 4w")
    return int(_LENGTHS[match[2]].total_seconds()) * int(match[1]) * SECOND


def _moment(option: str, text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when a date or a time begins, and when it is over."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RangeError(
            f"{option} {text}: a date or a time is expected, such as 2026-11-01 or 2026-11-01T09:30"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    is_date = re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}(-?[0-9])?", text) is not None
    return moment, moment + timedelta(days=1) if is_date else moment


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return _MACHINE
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise RangeError(f"--tz {name}: a time zone is expected, such as Europe/Berlin or UTC") from None


def nanoseconds(moment: datetime) -> int:
    """Return a time with a zone as Unix nanoseconds.

    Raises:
        RangeError: the zone does not know the time, because it is next to the first or the last year that a date can have.
    """
    try:
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (OverflowError, ValueError):
        raise RangeError(f"{moment:%Y-%m-%d} is beyond the years that count") from None


class _Machine(tzinfo):
    """The zone of this machine. Other than a fixed offset, it knows summer time."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        if moment is None:
            return timedelta(0)
        return moment.replace(tzinfo=None).astimezone().utcoffset() or timedelta(0)

    def dst(self, moment: datetime | None) -> timedelta:  # noqa: ARG002 — the signature of tzinfo
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return (moment.replace(tzinfo=None).astimezone().tzname() if moment else None) or "local"

    def fromutc(self, moment: datetime) -> datetime:
        """Return a UTC time in this zone."""
        return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)


_MACHINE: Final = _Machine()
EVERYTHING: Final = Range(0, END_OF_TIME, _MACHINE)
"""All that was ever captured or imported, in the days of this machine."""
