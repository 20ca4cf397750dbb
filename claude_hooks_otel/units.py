"""The units of stored values: nanoseconds and picodollars. Standard library only, because the SDK imports this module."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

# Nanoseconds.
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000 * MILLISECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
# The largest integer that SQLite can store. As a time, it is later than any other.
LARGEST_INTEGER: Final = 2**63 - 1
END_OF_TIME: Final = LARGEST_INTEGER


def storable(number: int) -> int:
    """Return a number as SQLite can store it: at most LARGEST_INTEGER."""
    return min(number, LARGEST_INTEGER)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Picodollars per US dollar. The smallest price, 0.01 USD per million tokens times 1.1, is 11,000 picodollars for each token.
DOLLAR: Final = 1_000_000_000_000


def unix_nanoseconds(text: str) -> int:
    """Convert an ISO 8601 time to Unix nanoseconds, exactly. A time without a zone is UTC.

    Raises:
        ValueError: the text is not an ISO 8601 time.

    >>> unix_nanoseconds("2026-11-20T12:30:00.123Z")
    1795177800123000000
    >>> unix_nanoseconds("2026-11-20T13:30:00.123+01:00") == unix_nanoseconds("2026-11-20T12:30:00.123")
    True
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return since.days * DAY + since.seconds * SECOND + since.microseconds * 1000


def duration_text(seconds: float) -> str:
    """Return a time for people: seconds up to two minutes, then minutes, hours and days."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
