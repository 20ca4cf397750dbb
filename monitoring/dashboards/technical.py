"""The dashboard "Technical"."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from claude_hooks_otel.metrics import catalog as c
from monitoring.dashboards.panels import GOOD, Board, Column, Query, bars, chosen, grid, lines, number, ranking
from monitoring.expressions import BAR, Series, grouped, share

_SHARE_OF_ERRORS = ((None, "green"), (0.05, "orange"), (0.2, "red"))


def technical() -> models.Dashboard:
    """Return the dashboard that shows tokens, API requests, context, tools, and the health of the telemetry itself."""
    board = Board(
        "claude-technical", "Tokens, API requests, context, tools, and the health of the telemetry itself.", "6h"
    )
    _headline(board)
    _model(board.row("Model"))
    _tools(board.row("Tools"))
    _agents_and_files(board)
    _telemetry(board.row("Telemetry"))
    _telemetry_gaps(board)
    return board.build()


def _failed_calls() -> Series:
    return chosen(c.TOOL_CALLS, 'outcome=~"error|invalid"')


def _headline(board: Board) -> None:
    tokens_in, tokens_out = chosen(c.TOKENS_INPUT), chosen(c.TOKENS_OUTPUT)
    calls, failed = chosen(c.TOOL_CALLS), _failed_calls()
    board.add(number("Tokens in", c.TOKENS_INPUT.meaning, Query(tokens_in.grown())), 4, 4)
    board.add(number("Tokens out", c.TOKENS_OUTPUT.meaning, Query(tokens_out.grown())), 4, 4)
    board.add(
        number(
            "Cache hits", "The share of the input tokens that came from the prompt cache.",
            Query(share(chosen(c.TOKENS_INPUT, 'cache="read"').grown(), tokens_in.grown())), "percentunit",
            steps=((None, "orange"), (0.5, "green")), decimals=0,
        ), 4, 4,
    )  # fmt: skip
    board.add(number("API requests", c.API_REQUESTS.meaning, Query(chosen(c.API_REQUESTS).grown())), 4, 4)
    board.add(number("Tool calls", c.TOOL_CALLS.meaning, Query(calls.grown())), 4, 4)
    board.add(
        number(
            "Tool errors", "The share of the tool calls that failed (`error`) or never ran (`invalid`).",
            Query(share(f"{failed.grown()} or {calls.grown()} * 0", calls.grown())), "percentunit",
            steps=_SHARE_OF_ERRORS, decimals=1,
        ), 4, 4,
    )  # fmt: skip


def _model(board: Board) -> None:
    tokens_in, tokens_out = chosen(c.TOKENS_INPUT), chosen(c.TOKENS_OUTPUT)
    board.add(
        bars("Input tokens by cache", c.TOKENS_INPUT.meaning, [Query(tokens_in.grown(BAR, ["cache"]), "{{cache}}")]), 12
    )
    board.add(
        bars("Output tokens by model", c.TOKENS_OUTPUT.meaning, [Query(tokens_out.grown(BAR, ["model"]), "{{model}}")]),
        12,
    )
    board.add(
        bars(
            "API requests", c.API_REQUESTS.meaning,
            [Query(chosen(c.API_REQUESTS).grown(BAR, ["model"]), "{{model}}")],
        ), 6,
    )  # fmt: skip
    board.add(
        bars(
            "Failed turns", c.TURN_FAILURES.meaning, [Query(chosen(c.TURN_FAILURES).grown(BAR, ["error"]), "{{error}}")]
        ),
        6,
    )
    board.add(
        lines(
            "Context in use", c.CONTEXT_USAGE.meaning,
            [Query(chosen(c.CONTEXT_USAGE).peak(by=["agent", "project"]), "{{agent}} {{project}}")], "percent",
            steps=((None, "green"), (80, "orange"), (90, "red")), top=100,
        ), 6,
    )  # fmt: skip
    board.add(
        lines(
            "Limits of the subscription", c.RATE_LIMIT_USED.meaning,
            [Query(chosen(c.RATE_LIMIT_USED).peak(by=["window"]), "{{window}}")], "percent",
            steps=((None, "green"), (80, "orange"), (90, "red")), top=100,
        ), 6,
    )  # fmt: skip


def _tools(board: Board) -> None:
    calls, failed = chosen(c.TOOL_CALLS), _failed_calls()
    board.add(ranking("Calls by tool", c.TOOL_CALLS.meaning, Query(calls.grown(by=["tool"]), "{{tool}}")), 8)
    board.add(
        grid(
            "Tools", "Calls, errors, durations and permission requests of each tool.", ["tool"],
            [
                Column("Calls", calls.grown(by=["tool"])),
                Column("Errors", failed.grown(by=["tool"])),
                Column("Median", chosen(c.TOOL_DURATION).quantile(0.5, by=["tool"]), "s"),
                Column("90 % within", chosen(c.TOOL_DURATION).quantile(0.9, by=["tool"]), "s"),
                Column("Permission asked", chosen(c.PERMISSION_REQUESTS).grown(by=["tool"])),
            ],
            "Calls",
        ), 10,
    )  # fmt: skip
    board.add(bars("How calls ended", c.TOOL_CALLS.meaning, [Query(calls.grown(BAR, ["outcome"]), "{{outcome}}")]), 6)
    board.add(
        lines(
            "Tool calls, 90 % within", "How long tool calls took that ended in each step. A diamond is one call: it leads to its trace.",
            [Query(chosen(c.TOOL_DURATION).quantile(0.9, BAR, ["tool"]), "{{tool}}")], "s", exemplars=True,
        ), 18,
    )  # fmt: skip
    board.add(
        ranking(
            "Permission wait, median", c.PERMISSION_WAIT.meaning,
            Query(chosen(c.PERMISSION_WAIT).quantile(0.5, by=["agent"]), "{{agent}}"), "s",
        ), 6,
    )  # fmt: skip


def _agents_and_files(board: Board) -> None:
    board.add(
        bars(
            "Sub-agents", c.SUBAGENTS.meaning,
            [Query(chosen(c.SUBAGENTS).grown(BAR, ["outcome"]), "{{outcome}}")],
        ), 8,
    )  # fmt: skip
    board.add(
        ranking(
            "Sub-agent duration, mean", c.SUBAGENT_DURATION.meaning,
            Query(chosen(c.SUBAGENT_DURATION).mean(by=["agent_type"]), "{{agent_type}}"), "s",
        ), 8,
    )  # fmt: skip
    board.add(
        bars(
            "Compactions and model switches", c.COMPACTIONS.meaning,
            [
                Query(chosen(c.COMPACTIONS).grown(BAR, ["trigger"]), "compaction {{trigger}}"),
                Query(chosen(c.MODEL_SWITCHES).grown(BAR), "model switch"),
            ],
        ), 8,
    )  # fmt: skip
    board.add(
        ranking("Skills and instructions", c.PATTERN_LOADS.meaning,
                Query(chosen(c.PATTERN_LOADS).grown(by=["pattern"]), "{{pattern}}")), 12,
    )  # fmt: skip
    board.add(
        ranking("Files", "How many different files sessions read and modified.",
                Query(f'label_replace({chosen(c.FILES_READ).grown(by=["agent"])}, "what", "read", "", "") '
                      f'or label_replace({chosen(c.FILES_MODIFIED).grown(by=["agent"])}, "what", "modified", "", "")',
                      "{{agent}} {{what}}")), 12,
    )  # fmt: skip


def _telemetry(board: Board) -> None:
    board.add(number("Events taken in", c.HOOK_EVENTS.meaning, Query(Series(c.HOOK_EVENTS).grown())), 4, 6)
    board.add(
        number(
            "Events waiting", c.SPOOL_DEPTH.meaning, Query(Series(c.SPOOL_DEPTH).latest("sum")),
            steps=((None, "green"), (1000, "orange"), (10_000, "red")),
        ), 4, 6,
    )  # fmt: skip
    board.add(
        grid(
            "Export", "The time since each endpoint last accepted an export, and the failed exports in the time range.",
            ["instance", "exporter"],
            [
                Column("Age", Series(c.EXPORT_AGE).latest(by=["instance", "exporter"]), "s"),
                Column("Failures", Series(c.EXPORT_FAILURES).grown(by=["instance", "exporter"])),
            ],
            "Age",
        ), 8, 6,
    )  # fmt: skip
    # An agent counts once, however many terminals and projects it has.
    agents = chosen(c.CLIENT_INFO).latest(by=["agent", "version", "entrypoint"])
    board.add(
        grid(
            "Clients", c.CLIENT_INFO.meaning, ["version", "entrypoint"],
            [Column("Agents", grouped("count", ["version", "entrypoint"], agents))], "Agents",
        ), 8, 6,
    )  # fmt: skip


def _telemetry_gaps(board: Board) -> None:
    board.add(
        ranking("Tokens without a price", c.UNPRICED_TOKENS.meaning,
                Query(chosen(c.UNPRICED_TOKENS).grown(by=["model"]), "{{model}}"), steps=((None, "orange"),)), 8, 6,
    )  # fmt: skip
    board.add(
        ranking("Events without content", c.HOOK_EVENTS_DROPPED.meaning,
                Query(Series(c.HOOK_EVENTS_DROPPED).grown(by=["reason"]), "{{reason}}"), steps=((None, "red"),)), 8, 6,
    )  # fmt: skip
    board.add(
        ranking("Known from transcripts alone", c.TRANSCRIPT_ONLY.meaning,
                Query(Series(c.TRANSCRIPT_ONLY).grown(by=["kind"]), "{{kind}}"), steps=GOOD), 8, 6,
    )  # fmt: skip
    board.add(
        grid("Price tables in use", c.PRICE_TABLE.meaning, ["version"],
             [Column("Installations", Series(c.PRICE_TABLE).latest("count", ["version"]))], "Installations"), 12, 5,
    )  # fmt: skip
    board.add(
        grid(
            "Spans and log events", "How many wait for an endpoint, and how many were dropped in the time range.", ["signal"],
            [
                Column("Waiting", Series(c.RECORDS_WAITING).latest("sum", ["signal"])),
                Column("Dropped", Series(c.RECORDS_DROPPED).grown(by=["signal"])),
            ],
            "Waiting",
        ), 12, 5,
    )  # fmt: skip
