"""The tools of ``claude-hooks-otel mcp``, on the official SDK. Imported only where the extra ``mcp`` is installed.

Source: Model Context Protocol, specification, "Tools". Each tool only reads the store. The SDK makes its schemas from the types here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from claude_hooks_otel import __version__
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.labels import IDENTITY_LABELS, normalize
from claude_hooks_otel.report import answers
from claude_hooks_otel.report.breakdown import GROUPS
from claude_hooks_otel.report.ranges import Range, RangeError, parse_range
from claude_hooks_otel.settings import load_usable
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain

_INSTRUCTIONS: Final = (
    "The telemetry of Claude Code on this machine: what sessions cost and used, from the embedded store of claude-hooks-otel. Every tool "
    "only reads. Costs are US dollars at list prices. Without a range, the present week counts."
)
_READS_ONLY: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

Word = Annotated[
    Literal["today", "yesterday", "week", "month", "all"] | None,
    Field(description="A calendar range; a week begins on Monday."),
]
Last = Annotated[str | None, Field(max_length=16, description="How long back from now instead, such as 24h, 7d or 4w.")]
Since = Annotated[str | None, Field(max_length=40, description="The first day or time instead, such as 2026-11-01.")]
Until = Annotated[str | None, Field(max_length=40, description="The last day or time; a day counts as a whole.")]
Zone = Annotated[str | None, Field(max_length=64, description="The time zone of days. Default: this machine's.")]
Name = Annotated[str | None, Field(max_length=200, description="Only this one.")]
Top = Annotated[int, Field(ge=1, le=answers.MOST_ROWS, description="At most so many rows.")]
Groups = Annotated[
    list[str],
    Field(max_length=answers.MOST_GROUPS, description=f"A row for each of at most two of these: {', '.join(GROUPS)}."),
]
Filters = Annotated[dict[str, str], Field(max_length=9, description="Only these values: name of a group → value.")]


def make_server(home: Home, now_ns: Callable[[], int] = time.time_ns) -> MCPServer:
    """Return the server of a home. ``run()`` answers on standard input and output until the client closes them.

    Args:
        home: whose store is read.
        now_ns: the clock, Unix nanoseconds.
    """
    server = MCPServer(
        "claude-hooks-otel",
        title="Claude Code telemetry",
        version=__version__,
        instructions=_INSTRUCTIONS,
        log_level="WARNING",
    )
    for tool in _usage_tools(home, now_ns) + _session_tools(home, now_ns) + _tool_tools(home, now_ns):
        server.add_tool(tool, annotations=_READS_ONLY)
    return server


def _usage_tools(home: Home, now_ns: Callable[[], int]) -> list[Callable[..., object]]:
    def usage(
        range: Word = None, last: Last = None, since: Since = None, until: Until = None, time_zone: Zone = None,  # noqa: A002 — the name that people know
        by: Groups = [], only: Filters = {}, top: Top = 20,  # noqa: B006 — nobody changes them
    ) -> answers.UsageAnswer:  # fmt: skip
        """Cost and usage in a range: dollars, tokens, requests, sessions, prompts, active time, tool calls, lines, commits, errors."""
        with _reading(home) as connection:
            return answers.usage(
                connection, _range(now_ns, range, last, since, until, time_zone), by, _labels(only), top
            )

    def budgets() -> answers.BudgetsAnswer:
        """The budgets that the owner has set: limit, used amount and share, and the forecast for the end of the period."""
        with _reading(home) as connection:
            return answers.budget_states(connection, load_usable(home.config, home.last_config, {})[0], now_ns())

    return [usage, budgets]


def _session_tools(home: Home, now_ns: Callable[[], int]) -> list[Callable[..., object]]:
    def sessions(
        range: Word = None, last: Last = None, since: Since = None, until: Until = None, time_zone: Zone = None,  # noqa: A002
        agent: Name = None, project: Name = None, top: Top = 20,
    ) -> answers.SessionsAnswer:  # fmt: skip
        """The sessions that were open in a range, the newest first, with their cost and outcome."""
        with _reading(home) as connection:
            config, _ = load_usable(home.config, home.last_config, {})
            within = _range(now_ns, range, last, since, until, time_zone)
            return answers.sessions(connection, within, config, agent, project, top)

    def session(
        session_id: Annotated[str, Field(min_length=1, max_length=64, description="The id, or its beginning.")],
        first_step: Annotated[int, Field(ge=0, description="Skip so many steps.")] = 0,
        top: Top = 50,
    ) -> answers.SessionAnswer:
        """One session: its cost, and what happened in order of time (turns, requests, tool calls, waits, sub-agents, commits)."""
        with _reading(home) as connection:
            return answers.session(connection, session_id, first_step, top)

    return [sessions, session]


def _tool_tools(home: Home, now_ns: Callable[[], int]) -> list[Callable[..., object]]:
    def slow_tools(
        range: Word = None, last: Last = None, since: Since = None, until: Until = None, time_zone: Zone = None,  # noqa: A002
        agent: Name = None, project: Name = None, top: Top = 10,
    ) -> answers.ToolsAnswer:  # fmt: skip
        """The tools whose calls took the most time in a range: number of timed calls, total and mean seconds."""
        with _reading(home) as connection:
            only = _labels({"agent": agent, "project": project})
            return answers.slow_tools(connection, _range(now_ns, range, last, since, until, time_zone), only, top)

    def failing_tools(
        range: Word = None, last: Last = None, since: Since = None, until: Until = None, time_zone: Zone = None,  # noqa: A002
        agent: Name = None, project: Name = None, top: Top = 10,
    ) -> answers.ToolsAnswer:  # fmt: skip
        """The tools with calls that failed, were rejected, denied, interrupted or invalid in a range, those with the most errors first."""
        with _reading(home) as connection:
            only = _labels({"agent": agent, "project": project})
            return answers.failing_tools(connection, _range(now_ns, range, last, since, until, time_zone), only, top)

    return [slow_tools, failing_tools]


@contextmanager
def _reading(home: Home) -> Iterator[sqlite3.Connection]:
    """Open the store for one answer. What goes wrong becomes an error of the tool, in words that the model can use."""
    if not home.store.exists():
        raise ToolError("Nothing was captured yet. Run `claude-hooks-otel doctor` in a terminal.")
    try:
        with closing(connect(home.store, readonly=True)) as connection:
            yield connection
    except answers.QuestionError as error:
        raise ToolError(str(error)) from None
    except RangeError as error:  # it names the options of commands
        raise ToolError(str(error).replace("--tz", "time_zone").replace("--", "")) from None
    except sqlite3.Error as error:
        raise ToolError(explain(home.store, error)) from None


def _range(
    now_ns: Callable[[], int],
    word: str | None,
    last: str | None,
    since: str | None,
    until: str | None,
    zone: str | None,
) -> Range:
    if not (word or last or since or until):
        word = "week"
    return parse_range(word, since=since, until=until, last=last, zone=zone, now_ns=now_ns())


def _labels(only: dict[str, str] | dict[str, str | None]) -> dict[str, str]:
    """Return the values that are given. Agents, projects, teams and users get the spelling that their labels have; a branch is one of a session."""
    return {
        name: normalize(value) if name in {*IDENTITY_LABELS} - {"branch"} else value
        for name, value in only.items()
        if value
    }
