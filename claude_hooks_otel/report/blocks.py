"""Five-hour blocks: when the client's session limit began to count, how much was used, and how it goes on.

Nothing on disk says when a limit begins. This follows the rule of ccusage (``ccusage blocks``): a block begins at the full hour (UTC) of its
first request and lasts five hours; the next request after it, or after a break of five hours, begins another one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.units import DAY, DOLLAR, HOUR

LENGTH: Final = 5 * HOUR
WEEK: Final = 7 * DAY


@dataclass(frozen=True, slots=True)
class Usage:
    """One request: its time in Unix nanoseconds, all its tokens, and its cost in picodollars (0 without a price)."""

    at_ns: int
    tokens: int
    cost: int


@dataclass(slots=True)
class Block:
    """One five-hour block. Times are Unix nanoseconds.

    Attributes:
        begin_ns: the full hour of its first request.
        first_ns: its first request.
        last_ns: its last request.
        requests: how many requests it has.
        tokens: all their tokens: input, cache and output.
        cost: what they cost, in picodollars.
    """

    begin_ns: int
    first_ns: int
    last_ns: int
    requests: int = 0
    tokens: int = 0
    cost: int = 0

    @property
    def end_ns(self) -> int:
        """Return when the block is over."""
        return self.begin_ns + LENGTH

    def is_active(self, now_ns: int) -> bool:
        """Return whether the next request belongs to this block."""
        return now_ns < self.end_ns and now_ns - self.last_ns < LENGTH

    def rates(self) -> tuple[float, float] | None:
        """Return tokens per minute and US dollars per hour, from the first request to the last; None with a single moment."""
        hours = (self.last_ns - self.first_ns) / HOUR
        return (self.tokens / hours / 60, self.cost / DOLLAR / hours) if hours > 0 else None

    def projection(self, now_ns: int) -> tuple[float, float] | None:
        """Return the tokens and US dollars at the block's end, if it goes on like this; None without a rate, or when it is over."""
        rates = self.rates()
        if rates is None or not self.is_active(now_ns):
            return None
        hours = (self.end_ns - now_ns) / HOUR
        return self.tokens + rates[0] * 60 * hours, self.cost / DOLLAR + rates[1] * hours


def read_usage(connection: sqlite3.Connection, since_ns: int = 0) -> Iterator[Usage]:
    """Yield the requests since a time, in order.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    rows = connection.execute(
        "SELECT at_ns, COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) + COALESCE(cache_read_tokens, 0)"
        " + COALESCE(cache_write_5m_tokens, 0) + COALESCE(cache_write_1h_tokens, 0), COALESCE(cost, 0)"
        " FROM api_request WHERE error IS NULL AND at_ns >= ? ORDER BY at_ns",
        (since_ns,),
    )
    for at_ns, tokens, cost in rows:
        yield Usage(at_ns, tokens, cost)


def blocks(usages: Iterable[Usage]) -> list[Block]:
    """Return the blocks of requests, which are in order of time."""
    found: list[Block] = []
    for usage in usages:
        if not found or usage.at_ns - found[-1].begin_ns > LENGTH or usage.at_ns - found[-1].last_ns > LENGTH:
            found.append(Block(usage.at_ns - usage.at_ns % HOUR, usage.at_ns, usage.at_ns))
        block = found[-1]
        block.last_ns = usage.at_ns
        block.requests += 1
        block.tokens += usage.tokens
        block.cost += usage.cost
    return found
