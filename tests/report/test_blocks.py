"""``limits``: five-hour blocks."""

from __future__ import annotations

import json
import time

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.blocks import Block, Usage, blocks
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DOLLAR, HOUR, MINUTE, SECOND
from tests.report.conftest import Cli

HALF_PAST = 500_000 * HOUR + 30 * MINUTE


def at(*hours: float) -> list[Usage]:
    return [Usage(HALF_PAST + round(hour * HOUR), 100, DOLLAR // 4) for hour in hours]


@pytest.mark.parametrize(
    ("hours", "sizes"),
    [
        ((), []),
        ((0,), [1]),
        ((0, 1, 4.5), [3]),  # exactly at the end: the block began half an hour before
        ((0, 1, 4.6), [2, 1]),
        ((0, 20), [1, 1]),
        ((0, 4, 6, 9), [2, 2]),
    ],
)
def test_a_block_lasts_five_hours_from_the_full_hour(hours: tuple[float, ...], sizes: list[int]) -> None:
    found = blocks(at(*hours))
    assert [block.requests for block in found] == sizes
    assert all(block.begin_ns % HOUR == 0 and block.begin_ns <= block.first_ns for block in found)


def test_rates_go_from_the_first_request_to_the_last() -> None:
    (block,) = blocks(at(0, 1, 2))
    assert block.rates() == pytest.approx((300 / 120, 0.75 / 2))
    assert blocks(at(0))[0].rates() is None


def test_a_projection_goes_on_to_the_end_of_the_block() -> None:
    (block,) = blocks(at(0, 1, 2))
    now_ns = HALF_PAST + round(2.5 * HOUR)
    assert block.is_active(now_ns)
    assert block.projection(now_ns) == pytest.approx((300 + 150 * 2, 0.75 + 0.375 * 2))
    assert block.projection(block.end_ns) is None


def test_a_block_without_requests_for_five_hours_is_over() -> None:
    assert not Block(0, 0, 0).is_active(5 * HOUR)
    assert Block(0, 0, 0).is_active(5 * HOUR - 1)


def test_the_command_shows_the_running_block_and_the_last_week(cli: Cli, home: Home) -> None:
    now_ns = time.time_ns()
    home.create()
    core = assemble_core(home, Config())
    with core.store.transaction():
        for number, ago_ns in enumerate((30 * 24 * HOUR, 20 * SECOND, 10 * SECOND)):
            core.facts.upsert(
                model.ApiRequest(
                    message_id=f"m{number}",
                    answer_id="",
                    at_ns=now_ns - ago_ns,
                    input_tokens=1000,
                    output_tokens=1,
                    cost=DOLLAR,
                )
            )
    core.store.close()
    found = json.loads(cli("limits", "--json").output)
    # A full hour can begin between the two newest requests.
    assert found["blocks"][0]["is_active"]
    assert sum(block["requests"] for block in found["blocks"]) == 3
    assert found["last_seven_days"] == {"requests": 2, "tokens": 2002, "cost_usd": 2.0}
    text = cli("limits").output
    assert "The running block ends in " in text
    assert "Last 7 days: 2 requests, 2,002 tokens, $2.00." in text


def test_without_requests_the_next_step_is_named(cli: Cli) -> None:
    assert "Nothing was captured yet" in cli("limits").output
    assert json.loads(cli("limits", "--json").output)["blocks"] == []
    assert "a time zone is expected" in cli("limits", "--tz", "Mars/Olympus", code=1).stderr
