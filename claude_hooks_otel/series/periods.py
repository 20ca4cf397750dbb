"""Calendar periods: when a day, a week or a month begins and ends in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "week", "month"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def find_zone(name: str | None) -> tzinfo:
    """Return a time zone.

    Args:
        name: an IANA name such as ``Europe/Berlin``; None for the zone of this machine.

    Raises:
        ValueError: there is no such zone.
    """
    if name is None:
        return MACHINE
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{name}: a time zone is expected, such as Europe/Berlin or UTC") from None


def moment(at_ns: int, zone: tzinfo) -> datetime:
    """Return a time, Unix nanoseconds, as a date and a time of day in a zone. What is below a microsecond is cut off."""
    return (_EPOCH + timedelta(microseconds=at_ns // 1000)).astimezone(zone)


def nanoseconds(at: datetime) -> int:
    """Return a time with a zone in Unix nanoseconds."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def period_around(period: Period, now: datetime) -> tuple[datetime, datetime]:
    """Return when the day, week or month of a time begins, and when it is over, in the zone of the time. A week begins on Monday.

    >>> begin, end = period_around("month", datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Berlin")))
    >>> begin.isoformat(), end.isoformat()
    ('2026-03-01T00:00:00+01:00', '2026-04-01T00:00:00+02:00')
    """
    today, day = now.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1)
    if period == "day":
        return today, today + day
    if period == "week":
        monday = today - day * today.weekday()
        return monday, monday + 7 * day
    first = today.replace(day=1)
    return first, (first + 32 * day).replace(day=1)


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


MACHINE: Final = _Machine()
"""The zone of this machine."""
