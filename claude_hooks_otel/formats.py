"""Numbers as people read them: the same on the page, in the terminal, in the status line and in notifications.

``web/static/page.js`` has the same rules, and a test compares both. This module imports nothing, because the status line needs it at once.
"""

from __future__ import annotations

# Smaller amounts of dollars are shown as smaller than this.
SMALLEST_DOLLARS = 0.0001


def percent(value: float | None, digits: int = 0) -> str:
    """Return a percentage, from 0 to 100; a dash for None.

    >>> percent(8.2)
    '8%'
    """
    return "–" if value is None else f"{value:,.{digits}f}%"


def share(value: float | None) -> str:
    """Return a share, from 0 to 1, as a percentage; a dash for None.

    >>> share(0.934)
    '93%'
    """
    return percent(None if value is None else 100 * value)


def duration(seconds: float) -> str:
    """Return a time as its two largest units, rounded down: ``45s``, ``3m 8s``, ``2h 16m``, ``4d 2h``.

    >>> duration(8160)
    '2h 16m'
    """
    left = max(0, int(seconds))
    for unit, below, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if left >= size:
            rest = left % size // part
            return f"{left // size}{unit} {rest}{below}" if rest else f"{left // size}{unit}"
    return f"{left}s"


def precise_duration(seconds: float | None) -> str:
    """Return the time of a call: with fractions of a second below a minute. A dash for None.

    >>> precise_duration(1.234), precise_duration(12.34), precise_duration(75)
    ('1.23s', '12.3s', '1m 15s')
    """
    if seconds is None:
        return "–"
    for digits, below in ((2, 9.995), (1, 59.95)):
        if seconds < below:
            return f"{max(seconds, 0):.{digits}f}s"
    return duration(max(seconds, 60))


def number(value: float) -> str:
    """Return a count.

    >>> number(1234), number(45678), number(12_345_678)
    ('1,234', '45.7k', '12.3M')
    """
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:,.1f}k" if value < 999_950 else f"{value / 1_000_000:,.1f}M"


def dollars(value: float) -> str:
    """Return an amount of US dollars: with four digits below a dollar, because a request costs fractions of a cent.

    >>> dollars(12.5), dollars(0.0213)
    ('$12.50', '$0.0213')
    """
    if 0 < value < SMALLEST_DOLLARS:
        return f"<${SMALLEST_DOLLARS:.4f}"
    return f"${value:,.4f}" if 0 < value < 1 else f"${value:,.2f}"
