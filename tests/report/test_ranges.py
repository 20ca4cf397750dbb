"""A range is what a person means by it, in the person's time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from claude_hooks_otel.report.ranges import Range, RangeError, parse_range, range_before
from claude_hooks_otel.units import END_OF_TIME, SECOND

# A Thursday, 00:30 in Berlin, still Wednesday in UTC.
NOW = round(datetime(2026, 11, 25, 23, 30, tzinfo=UTC).timestamp()) * SECOND


def parsed(word: str | None = None, **options: str | None) -> Range:
    given = {"since": None, "until": None, "last": None, "zone": "Europe/Berlin"} | options
    return parse_range(word, now_ns=NOW, **given)


def moments(found: Range) -> tuple[str, str]:
    return tuple(found.local(at_ns).isoformat(timespec="minutes") for at_ns in (found.since_ns, found.until_ns))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("word", "since", "until"),
    [
        ("today", "2026-11-26T00:00+01:00", "2026-11-27T00:00+01:00"),
        ("yesterday", "2026-11-25T00:00+01:00", "2026-11-26T00:00+01:00"),
        ("week", "2026-11-23T00:00+01:00", "2026-11-30T00:00+01:00"),
        ("month", "2026-11-01T00:00+01:00", "2026-12-01T00:00+01:00"),
    ],
)
def test_a_word_is_a_range_of_days_in_the_zone(word: str, since: str, until: str) -> None:
    assert moments(parsed(word)) == (since, until)


def test_a_day_of_summer_time_has_its_own_length() -> None:
    found = parsed(since="2026-03-29", until="2026-03-29")
    assert found.until_ns - found.since_ns == 23 * 3600 * SECOND


@pytest.mark.parametrize(
    ("options", "since", "until"),
    [
        ({"since": "2026-11-01", "until": "2026-11-02"}, "2026-11-01T00:00+01:00", "2026-11-03T00:00+01:00"),
        ({"since": "2026-11-01T09:30", "until": "2026-11-01T10:00"}, "2026-11-01T09:30+01:00", "2026-11-01T10:00+01:00"),
        ({"since": "2026-11-01T09:30Z", "until": "2026-11-02", "zone": "UTC"}, "2026-11-01T09:30+00:00", "2026-11-03T00:00+00:00"),
        ({"since": "2026-11-24", "until": "2026-11-24", "zone": "Asia/Kolkata"}, "2026-11-24T00:00+05:30", "2026-11-25T00:00+05:30"),
    ],
)  # fmt: skip
def test_dates_are_whole_and_times_are_exact(options: dict[str, str], since: str, until: str) -> None:
    assert moments(parsed(**options)) == (since, until)


def test_the_last_hours_end_now() -> None:
    found = parsed(last="24h")
    assert (NOW - found.since_ns, found.until_ns) == (24 * 3600 * SECOND, END_OF_TIME)


@pytest.mark.parametrize(
    ("last", "since"),
    [
        ("1d", "2026-11-26T00:00+01:00"),
        ("7d", "2026-11-20T00:00+01:00"),
        ("2w", "2026-11-13T00:00+01:00"),
        ("40d", "2026-10-18T00:00+02:00"),
    ],
)
def test_the_last_days_are_whole_and_end_with_today(last: str, since: str) -> None:
    assert moments(parsed(last=last)) == (since, "2026-11-27T00:00+01:00")


def test_the_last_days_are_compared_with_as_much_of_the_days_before() -> None:
    before = range_before(parsed(last="7d"), NOW)
    assert before is not None
    assert moments(before) == ("2026-11-13T00:00+01:00", "2026-11-19T00:30+01:00")


def test_more_days_than_a_calendar_has_are_refused() -> None:
    with pytest.raises(RangeError, match="beyond the years that count"):
        parsed(last="999999d")


@pytest.mark.parametrize("word", [None, "all"])
def test_without_a_range_everything_counts(word: str | None) -> None:
    found = parsed(word)
    assert (found.since_ns, found.until_ns) == (0, END_OF_TIME)


def test_the_zone_of_this_machine_is_the_default() -> None:
    found = parsed("today", zone=None)
    local = datetime.fromtimestamp(NOW / SECOND).astimezone()
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    assert found.since_ns == round(midnight.timestamp()) * SECOND
    assert found.local(found.since_ns).hour == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"word": "fortnight"}, "one of today, yesterday, week, month, all is expected"),
        ({"last": "7"}, "a number with h, d or w is expected"),
        ({"last": "0d"}, "a number with h, d or w is expected"),
        ({"since": "soon"}, "a date or a time is expected"),
        ({"since": "2026-11-03", "until": "2026-11-01"}, "--since is not before --until"),
        ({"word": "today", "last": "7d"}, "a range is one of"),
        ({"word": "today", "since": "2026-11-01"}, "a range is one of"),
        ({"zone": "Mars/Base"}, "a time zone is expected"),
    ],
)
def test_a_range_that_is_wrong_says_what_is_expected(options: dict[str, str], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        parsed(**options)
