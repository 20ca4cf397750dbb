"""``audit``: recounts the requests of sessions from their transcripts, and shows where the store differs."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, note, print_json, say
from claude_hooks_otel.cli.questions import LastOption, SinceOption, UntilOption, asked_range, opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.formats import dollars
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.audit import Audited, Result, audit, find_audited
from claude_hooks_otel.report.cost_check import CostCheck, check_costs
from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.report.sessions import find_session

# How many unexplained differences are printed.
SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("audit", epilog="Example: claude-hooks-otel audit --last 7d")
    def audit_sessions(
        session: Annotated[str | None, typer.Argument(help="A session's id, or its beginning. Default: all.")] = None,
        since: SinceOption = None,
        until: UntilOption = None,
        last: LastOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Recount the tokens of all requests from the transcripts, with simple code of its own, and compare them with the store.

        The exit code is 1 if a difference has no explanation.
        """
        within = asked_range(since=since, until=until, last=last)
        home = command_home()
        take_in_waiting(home)
        result, costs = _audit(home, within, session)
        unexplained = [each for each in result.differences if not each.reason]
        if as_json:
            print_json(
                "audit", ok=not unexplained, error=_error(len(unexplained)), **asdict(result), costs=asdict(costs)
            )
        elif not result.sessions:
            print_next_step(home)
        else:
            _print_costs(costs)
            _print(result)
        if unexplained:
            raise typer.Exit(1)


def _audit(home: Home, within: Range, beginning: str | None) -> tuple[Result, CostCheck]:
    try:
        with opened_store(home) as connection:
            sessions = _chosen(connection, within, beginning)
            return audit(connection, sessions), check_costs(connection, sessions)
    except OSError as error:
        fail(f"A transcript cannot be read: {error}")


def _chosen(connection: sqlite3.Connection, within: Range, beginning: str | None) -> list[Audited]:
    if beginning is None:
        return find_audited(connection, within)
    ids = find_session(connection, beginning)
    if len(ids) != 1:
        fail(f"{len(ids) or 'No'} sessions begin with {beginning}. `claude-hooks-otel sessions --top 0` lists all.")
    return find_audited(connection, within, ids[0])


def _print_costs(costs: CostCheck) -> None:
    """Print what the client's status lines say about the costs. The client's own prices may be older or newer, so no difference is an error."""
    for each in costs.differences[:SHOWN]:
        why = f": {each.reason}" if each.reason else ""
        note(
            f"session {each.session_id}: Claude Code's status line counted {dollars(each.client_usd)}, "
            f"the store {dollars(each.store_usd)}{why}."
        )
    if same := costs.sessions - len(costs.differences):
        say(f"{same:,} sessions have the cost that Claude Code's status line counted.")


def _print(result: Result) -> None:
    sums = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in result.tokens.items())
    say(f"Recounted {result.sessions:,} sessions with {result.requests:,} requests: {sums} tokens.")
    for reason, count in Counter(each.reason for each in result.differences if each.reason).items():
        say(f"{count:,} requests differ, because {reason}.")
    unexplained = [each for each in result.differences if not each.reason]
    for each in unexplained[:SHOWN]:
        say(
            f"Session {each.session_id}, answer {each.message_id or '–'}: transcript {_text(each.transcript)}, store {_text(each.store)}"
        )
    if error := _error(len(unexplained)):
        fail(error)
    say("The store has the same numbers.")


def _text(tokens: Mapping[str, int]) -> str:
    return " + ".join(f"{number:,} {name}" for name, number in tokens.items()) or "nothing"


def _error(count: int) -> str | None:
    if not count:
        return None
    return f"{count:,} requests differ without an explanation. If a session is running, try again when it has ended; otherwise, please report this as a bug."
