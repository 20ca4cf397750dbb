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
from claude_hooks_otel.report.budgets import BudgetState, as_json, budgets, money, title
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.series.periods import find_zone, moment
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
        blocking = _blocking(home, states, config.budgets)
        if json_:
            shown = [{**as_json(state), "blocks_prompts": state in blocking} for state in states]
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
        _print(home, states, blocking, config.budgets)
        for channel, _, error in errors:
            note(f"A notification was not accepted by the {channel}: {error}.")


def _print(home: Home, states: Sequence[BudgetState], blocking: Sequence[BudgetState], config: BudgetsConfig) -> None:
    if not any(config.limits()):
        say(
            f"No budget is set. To set one of $20 for each day, add these two lines to {home.config}:\n\n[budgets]\nday = 20"
        )
        return
    if not states:
        print_next_step(home)
        return
    zone = find_zone(config.time_zone)
    grid = Grid("", ["budget"], ["limit", "used", "share", "forecast", "of limit", "ends"], longest_name=40)
    for state in states:
        ends = moment(state.end_ns, zone)
        amount = f"{'>' if state.unpriced_tokens else ''}{money(state.used)}"
        grid.rows.append(
            [
                title(state), money(state.limit), amount, f"{state.used_share:.0%}", money(state.forecast),
                f"{state.forecast_share:.0%}", f"{ends:%Y-%m-%d %H:%M}",
            ]
        )  # fmt: skip
    for line in grid.narrowed(width(), ["ends", "of limit"]).lines(width()):
        typer.echo(line)
    if any(state.unpriced_tokens for state in states):
        say("\n> The cost lacks tokens of models without a price. `claude-hooks-otel doctor` names the models.")
    for state in blocking:
        say(
            f"\nPrompts are refused: the budget for {title(state)} is used up. Run `claude-hooks-otel budgets --lift` to go on."
        )


def _blocking(home: Home, states: Sequence[BudgetState], config: BudgetsConfig) -> list[BudgetState]:
    """Return the budgets that block prompts."""
    lifted = read_lifted(home)
    return [state for state in states if config.block and state.is_used_up and state.key not in lifted]


def _lift(home: Home, states: Sequence[BudgetState], config: BudgetsConfig) -> list[BudgetState]:
    """Lift every block. Return the budgets that blocked."""
    found = _blocking(home, states, config)
    if found:
        names = [*sorted(read_lifted(home)), *(state.key for state in found)][-_MOST_LIFTED:]
        try:
            replace_file(home.lifted, "".join(f"{name}\n" for name in names).encode())
            PromptFiles(home).block({})
        except OSError as error:
            fail(f"The block cannot be lifted: {error.filename}: {error.strerror}.")
    return found
