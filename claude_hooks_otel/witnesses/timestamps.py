"""Times as witnesses write them."""

from __future__ import annotations

from datetime import UTC, datetime


def unix_nanoseconds(text: str) -> int:
    """ISO 8601 → Unix nanoseconds, exactly (a float of seconds could not hold them); UTC where no zone is named.

    Raises:
        ValueError: it is no such time.

    >>> unix_nanoseconds("2026-11-20T12:30:00.123Z")
    1795177800123000000
    >>> unix_nanoseconds("2026-11-20T13:30:00.123+01:00") == unix_nanoseconds("2026-11-20T12:30:00.123")
    True
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1000
