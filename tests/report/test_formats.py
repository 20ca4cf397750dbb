"""Numbers look the same on the page, in the terminal and in the status line."""

from __future__ import annotations

import pytest

from claude_hooks_otel.formats import dollars, duration, number, percent, precise_duration, share
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.tool_names import CLIENT_TOOLS, tool_name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (188, "3m 8s"),
        (3600, "1h"),
        (8160, "2h 16m"),
        (86_399, "23h 59m"),
        (352_800, "4d 2h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0.00s"), (1.234, "1.23s"), (9.996, "10.0s"), (59.94, "59.9s"), (59.96, "1m"), (600, "10m")],
)
def test_a_short_time_has_fractions(seconds: float | None, text: str) -> None:
    assert precise_duration(seconds) == text


def test_percentages_have_no_space() -> None:
    assert [percent(8), percent(None), percent(87.25, 1), share(0.934), share(13.5)] == [
        "8%",
        "–",
        "87.2%",
        "93%",
        "1,350%",
    ]


def test_counts_and_dollars_are_short() -> None:
    assert [number(9999), number(10_000), number(999_950)] == ["9,999", "10.0k", "1.0M"]
    assert [dollars(0), dollars(0.00001), dollars(0.5), dollars(1234.5)] == [
        "$0.00",
        "<$0.0001",
        "$0.5000",
        "$1,234.50",
    ]


def test_a_tool_has_the_name_that_the_client_gives_it() -> None:
    assert [tool_name(normalize(name)) for name in CLIENT_TOOLS] == list(CLIENT_TOOLS)
    assert tool_name("mcp__github__get_issue") == "mcp__github__get_issue"
