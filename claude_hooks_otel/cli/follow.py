"""``console``: shows what the exporter ``console`` writes. A daemon that a hook starts has no terminal to write to."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import command_home, fail

# Seconds between two looks at the file.
_LOOK = 0.2


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel console --follow")
    def console(
        follow: Annotated[
            bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted.")
        ] = False,
        lines: Annotated[
            int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to begin with.")
        ] = 10,
    ) -> None:
        """Show what the console exporter wrote: one JSON document a line, from a file in the home."""
        file = command_home().console
        if not (follow or file.exists()):
            fail(
                f"There is no {file} yet. Turn console export on with `claude-hooks-otel install --exporter console`, "
                "and run a session or `claude-hooks-otel flush`."
            )
        place = _show_last(file, lines)
        while follow:
            place = _show_new(file, *place)
            time.sleep(_LOOK)


def _show_last(path: Path, lines: int) -> tuple[int, int]:
    """Print the last lines. Return the file's number and how much of it was read."""
    try:
        with path.open("rb") as file:
            for line in deque(file, lines):
                typer.echo(line.rstrip(b"\n"))
            return path.stat().st_ino, file.tell()
    except FileNotFoundError:
        return 0, 0


def _show_new(path: Path, number: int, read: int) -> tuple[int, int]:
    """Print whole lines that are new, from the beginning if the file began again."""
    try:
        with path.open("rb") as file:
            present = path.stat().st_ino
            file.seek(read if present == number else 0)
            for line in file:
                if not line.endswith(b"\n"):
                    return present, file.tell() - len(line)
                typer.echo(line.rstrip(b"\n"))
            return present, file.tell()
    except FileNotFoundError:
        return 0, 0
