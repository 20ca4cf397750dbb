"""What the commands share: the consoles they print to, and how they end on an error."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from claude_hooks_otel.home.ownership import ForeignHomeError, check_owner
from claude_hooks_otel.home.paths import Home

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def command_home() -> Home:
    """Return the home that the environment names, or exit with what is wrong with it."""
    try:
        home = Home.from_environment()
        check_owner(home)
    except (RuntimeError, ForeignHomeError) as error:
        fail(escape(str(error)))
    return home


def fail(message: str, code: int = 1) -> NoReturn:
    """Print what is wrong and what to do, and exit."""
    err.print(f"[bold red]error[/]: {message}", soft_wrap=True)  # a command to copy stays whole
    raise typer.Exit(code)
