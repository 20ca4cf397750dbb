"""``limits``: what the status line says about the limits, and five-hour blocks and seven days as computed from the requests in the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, print_json, say, width
from claude_hooks_otel.cli.questions import ZoneOption, asked_range, opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.formats import dollars, duration, percent
from claude_hooks_otel.report.blocks import Block, Usage, blocks, read_usage
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.report.limit_windows import LimitWindow, read_windows
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.units import DOLLAR, SECOND

# How many blocks are shown if nobody asks for more or fewer.
TOP: Final = 10


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel limits --top 3")
    def limits(
        top: Annotated[int, typer.Option(min=1, help="How many blocks are shown, the newest first.")] = TOP,
        tz: ZoneOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show the usage in five-hour blocks, how fast it grows, and where the running block ends if it goes on like this.

        The limits are those that Claude Code's status line last reported (docs/statusline.md). The blocks follow from the requests of
        all agents on this machine, by the rule of `ccusage blocks`.
        """
        now_ns = time.time_ns()
        within = asked_range(zone=tz)
        home = command_home()
        take_in_waiting(home)
        with opened_store(home) as connection:
            usages = list(read_usage(connection))
            windows = list(read_windows(connection, now_ns))
            has_sessions = connection.execute("SELECT 1 FROM session LIMIT 1").fetchone() is not None
        found = blocks(usages)[::-1]
        week_ns = asked_range(last="7d", zone=tz).since_ns
        week = [usage for usage in usages if usage.at_ns >= week_ns]
        if as_json:
            values = [_as_json(block, now_ns) for block in found[:top]]
            print_json("limits", windows=list(map(asdict, windows)), blocks=values, last_seven_days=_sums(week))
            return
        _print_windows(windows, now_ns)
        if found:
            _print(found[:top], week, within, now_ns)
        elif has_sessions:
            say("The sessions that were captured have no requests yet.")
        else:
            print_next_step(home)


def _print_windows(windows: Sequence[LimitWindow], now_ns: int) -> None:
    accounts = {window.config_folder for window in windows}
    for window in windows:
        where = f" of {window.config_folder or 'an unknown account'}" if len(accounts) > 1 else ""
        left, ago = (duration(abs(at_ns - now_ns) / SECOND) for at_ns in (window.resets_ns, window.at_ns))
        say(
            f"{window.name}{where}: {percent(window.used_percent)} used, resets in {left}. The status line said so {ago} ago."
        )
    if windows:
        say("")


def _print(found: Sequence[Block], week: Sequence[Usage], within: Range, now_ns: int) -> None:
    grid = Grid("", ["block", ""], ["requests", "tokens", "cost", "tokens/min", "cost/h"])
    for block in found:
        begin, end = within.local(block.begin_ns), within.local(block.end_ns)
        rates = block.rates()
        grid.rows.append(
            [
                f"{begin:%Y-%m-%d %H:%M}–{end:%H:%M}", "running" if block.is_active(now_ns) else "", f"{block.requests:,}",
                f"{block.tokens:,}", dollars(block.cost / DOLLAR), *((f"{rates[0]:,.0f}", dollars(rates[1])) if rates else ("–", "–")),
            ]
        )  # fmt: skip
    for line in grid.narrowed(width(), ["requests", "cost/h", "tokens/min"]).lines(width()):
        typer.echo(line)
    newest = found[0]
    if newest.is_active(now_ns):
        left = duration((newest.end_ns - now_ns) / SECOND)
        projected = newest.projection(now_ns)
        going_on = (
            f" If it goes on like this: {projected[0]:,.0f} tokens, {dollars(projected[1])}." if projected else ""
        )
        say(f"\nThe running block ends in {left}.{going_on}")
    sums = _sums(week)
    say(f"\nLast 7 days: {sums['requests']:,} requests, {sums['tokens']:,} tokens, {dollars(sums['cost_usd'])}.")


def _sums(usages: Sequence[Usage]) -> dict[str, Any]:
    return {
        "requests": len(usages),
        "tokens": sum(usage.tokens for usage in usages),
        "cost_usd": sum(usage.cost for usage in usages) / DOLLAR,
    }


def _as_json(block: Block, now_ns: int) -> dict[str, Any]:
    rates, projected = block.rates(), block.projection(now_ns)
    return {
        "begin_ns": block.begin_ns,
        "end_ns": block.end_ns,
        "is_active": block.is_active(now_ns),
        "requests": block.requests,
        "tokens": block.tokens,
        "cost_usd": block.cost / DOLLAR,
        "tokens_per_minute": rates[0] if rates else None,
        "usd_per_hour": rates[1] if rates else None,
        "projected_tokens": projected[0] if projected else None,
        "projected_usd": projected[1] if projected else None,
    }
