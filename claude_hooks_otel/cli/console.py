"""What the commands share: the consoles they print to, and how they end on an error."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print what is wrong and what to do, and exit."""
    err.print(f"[bold red]error[/]: {message}")
    raise typer.Exit(code)
