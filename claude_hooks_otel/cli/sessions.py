"""``sessions``: lists the sessions, or shows one as a timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, fields
from typing import Annotated, Final

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, note, print_json, say, width
from claude_hooks_otel.cli.questions import LastOption, SinceOption, UntilOption, ZoneOption, asked_range, opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.formats import dollars, duration
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.grid import Grid, as_csv
from claude_hooks_otel.report.markdown import table
from claude_hooks_otel.report.ranges import EVERYTHING, WORDS, Range
from claude_hooks_otel.report.session_summary import as_markdown, read_summary
from claude_hooks_otel.report.sessions import SessionRow, Step, find_session, read_sessions, read_timeline
from claude_hooks_otel.units import SECOND

# How many sessions are listed if nobody asks for more or fewer.
TOP: Final = 20
# The beginning of a session's id that the list shows, as git shows commits.
ID_LENGTH: Final = 8

# The columns of the list that a narrow terminal leaves out, in this order.
_DISPENSABLE: Final = (
    "first words",
    "turns",
    "branch",
    "tokens in",
    "requests",
    "end",
    "tokens out",
    "project",
    "length",
    "model",
    "agent",
)

# The same for a session's timeline.
TIMELINE_DISPENSABLE: Final = ("who", "took", "cost")

Text = str | None


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel sessions --last 7d --agent backend")
    def sessions(
        session: Annotated[
            Text, typer.Argument(help="A session's id, or its beginning: show what happened in it.")
        ] = None,
        word: Annotated[Text, typer.Option("--range", help=f"One of {', '.join(WORDS)}.")] = None,
        since: SinceOption = None,
        until: UntilOption = None,
        last: LastOption = None,
        tz: ZoneOption = None,
        agent: Annotated[Text, typer.Option(help="Only this agent.")] = None,
        project: Annotated[Text, typer.Option(help="Only this project.")] = None,
        top: Annotated[int, typer.Option(min=0, help="How many are shown, the newest first; 0 for all.")] = TOP,
        as_json: JsonOption = False,
        csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with exact values.")] = False,
        markdown: Annotated[
            bool, typer.Option("--markdown", help="Print a Markdown table; of one session, a summary.")
        ] = False,
    ) -> None:
        """List the sessions, the newest first; or show one as a timeline, with its cost along the way.

        What is older than `retention_days` is only in `report`.
        """
        within = asked_range(word, since=since, until=until, last=last, zone=tz)
        if as_json + csv + markdown > 1:
            fail("One of --json, --csv and --markdown is expected.")
        home = command_home()
        take_in_waiting(home)
        if session is not None:
            _print_session(home, session, within, as_json=as_json, as_csv_=csv, markdown=markdown)
        else:
            rows = _sessions(home, within, agent, project)
            if not (rows or as_json or csv or markdown or _sessions(home, EVERYTHING)):
                print_next_step(home)
                return
            _print_list(rows, within, top or len(rows), as_json=as_json, as_csv_=csv, markdown=markdown)


def _sessions(home: Home, within: Range, agent: Text = None, project: Text = None) -> list[SessionRow]:
    with opened_store(home) as connection:
        return read_sessions(connection, within, agent=agent, project=project)


def _print_list(
    rows: Sequence[SessionRow], within: Range, top: int, *, as_json: bool, as_csv_: bool, markdown: bool
) -> None:
    shown = rows[:top]
    if as_json:
        print_json("sessions", sessions=[asdict(row) for row in shown], known=len(rows))
    elif as_csv_:
        typer.echo(as_csv([each.name for each in fields(SessionRow)], [astuple(row) for row in shown]), nl=False)
    elif markdown:
        grid = _list(shown, within)
        typer.echo("\n".join(table(grid.names, grid.numbers, grid.rows)))
    elif not rows:
        say("There are no sessions in this range.")
    else:
        for line in _list(shown, within).narrowed(width(), _DISPENSABLE).lines(width()):
            typer.echo(line)
        if len(rows) > top:
            note(f"{len(rows) - top} older sessions are not shown. `--top 0` shows all.")


def _list(rows: Sequence[SessionRow], within: Range) -> Grid:
    names = ["session", "began", "agent", "project", "branch", "model", "end", "first words"]
    grid = Grid("", names, ["length", "turns", "requests", "tokens in", "tokens out", "cost"])
    for row in rows:
        texts = [
            row.session_id[:ID_LENGTH], f"{within.local(row.began_ns):%Y-%m-%d %H:%M}", row.agent or "–", row.project or "–",
            row.branch or "–", (row.model or "–").removeprefix("claude-"), row.outcome, row.first_words or "",
        ]  # fmt: skip
        length = duration((row.seen_ns - row.began_ns) / SECOND)
        numbers = [f"{number:,}" for number in (row.turns, row.requests, row.tokens_in, row.tokens_out)]
        grid.rows.append([*texts, length, *numbers, "unknown" if row.cost is None else dollars(row.cost)])
    return grid if any(row.first_words for row in rows) else grid.narrowed(0, ["first words"])


def _print_session(home: Home, beginning: str, within: Range, *, as_json: bool, as_csv_: bool, markdown: bool) -> None:
    with opened_store(home) as connection:
        ids = find_session(connection, beginning)
        steps = read_timeline(connection, ids[0]) if len(ids) == 1 else []
        summary = read_summary(connection, ids[0]) if len(ids) == 1 and (as_json or markdown) else None
    if not ids:
        fail(f"There is no session {beginning}. `claude-hooks-otel sessions --top 0` lists all.")
    if len(ids) > 1:
        fail(f"{len(ids)} sessions begin with {beginning}. Write more of the id.", details=ids[:TOP])
    if summary is not None and markdown:
        typer.echo(as_markdown(summary), nl=False)
    elif summary is not None:
        steps_json = [asdict(step) for step in steps]
        print_json("sessions", session_id=ids[0], figures=summary.values(), steps=steps_json)
    elif as_csv_:
        typer.echo(as_csv([each.name for each in fields(Step)], [astuple(step) for step in steps]), nl=False)
    else:
        say(f"Session {ids[0]}\n")
        for line in timeline(steps, within).narrowed(width(), TIMELINE_DISPENSABLE).lines(width()):
            typer.echo(line)


def timeline(steps: Sequence[Step], within: Range) -> Grid:
    """Return the steps of a session as a table, with the cost along the way."""
    grid = Grid("", ["time", "step", "who", "what"], ["took", "cost", "so far"], longest_name=60)
    for step, so_far in zip(steps, _along(steps), strict=True):
        took = "" if step.seconds is None else f"{step.seconds:,.1f} s"
        cost = "" if step.cost is None else dollars(step.cost)
        grid.rows.append(
            [f"{within.local(step.at_ns):%H:%M:%S}", step.kind, step.who, step.what, took, cost, dollars(so_far)]
        )
    return grid


def _along(steps: Sequence[Step]) -> Iterator[float]:
    """Yield the cost up to each step."""
    so_far = 0.0
    for step in steps:
        so_far += step.cost or 0
        yield so_far
