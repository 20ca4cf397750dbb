"""``budgets``: how much of each budget is used, and what is expected; lifts blocks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, note, print_json, say, width
from claude_hooks_otel.cli.questions import opened_store
from claude_hooks_otel.cli.waiting_events import print_next_step, take_in_waiting
from claude_hooks_otel.delivery.notifications import open_errors
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.home.prompt_files import PromptFiles, read_lifted
from claude_hooks_otel.report.budgets import DISPENSABLE, BudgetState, as_json, blocking, budgets, grid, title
from claude_hooks_otel.settings import BudgetsConfig, load_usable, replace_file

# Lifted blocks that are remembered. Older ones belong to periods that are over.
_MOST_LIFTED: Final = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("budgets", epilog="Example: claude-hooks-otel budgets --lift")
    def show_budgets(
        lift: Annotated[
            bool,
            typer.Option("--lift", help="Allow prompts again, until the periods of the budgets that block them end."),
        ] = False,
        json_: JsonOption = False,
    ) -> None:
        """Show how much of each budget in the configuration is used, and how much will be if it goes on like the last seven days."""
        home = command_home()
        take_in_waiting(home)
        config, problem = load_usable(home.config, home.last_config, {})
        now_ns = time.time_ns()
        states: list[BudgetState] = []
        errors: list[tuple[str, str, str]] = []
        if home.store.exists() and any(config.budgets.limits()):
            with opened_store(home) as connection:
                states = budgets(connection, config, now_ns)
                errors = open_errors(connection, now_ns)
        lifted = _lift(home, states, config.budgets) if lift else []
        blocked = blocking(home, states, config.budgets)
        if json_:
            shown = [{**as_json(state), "blocks_prompts": state in blocked} for state in states]
            print_json(
                "budgets", budgets=shown, lifted=[title(state) for state in lifted], config_error=problem or None
            )
            return
        if problem:
            note(problem)
        for state in lifted:
            say(f"Prompts are allowed again until the budget for {title(state)} begins anew.")
        if lift and not lifted:
            say("No budget blocks prompts.")
        _print(home, states, blocked, config.budgets)
        for channel, _, error in errors:
            note(f"A notification was not accepted by the {channel}: {error}.")


def _print(home: Home, states: Sequence[BudgetState], blocked: Sequence[BudgetState], config: BudgetsConfig) -> None:
    if not any(config.limits()):
        say(
            f"No budget is set. To set one of $20 for each day, add these two lines to {home.config}:\n\n[budgets]\nday = 20"
        )
        return
    if not states:
        print_next_step(home)
        return
    table = grid(states, config)
    for line in table.narrowed(width(), DISPENSABLE).lines(width()):
        typer.echo(line)
    if table.note:
        say(f"\n{table.note}")
    for state in blocked:
        say(
            f"\nPrompts are refused: the budget for {title(state)} is used up. Run `claude-hooks-otel budgets --lift` to go on."
        )


def _lift(home: Home, states: Sequence[BudgetState], config: BudgetsConfig) -> list[BudgetState]:
    """Lift every block. Return the budgets that blocked."""
    found = blocking(home, states, config)
    if found:
        names = [*sorted(read_lifted(home)), *(state.key for state in found)][-_MOST_LIFTED:]
        try:
            replace_file(home.lifted, "".join(f"{name}\n" for name in names).encode())
            PromptFiles(home).block({})
        except OSError as error:
            fail(f"The block cannot be lifted: {error.filename}: {error.strerror}.")
    return found
