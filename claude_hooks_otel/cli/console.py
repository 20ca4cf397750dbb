"""What the commands share: what they print to, JSON in one shape, and how they end on an error."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from claude_hooks_otel.home.ownership import check_owner
from claude_hooks_otel.home.paths import Home

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

JSON_VERSION: Final = 1
"""The version of what ``--json`` prints. It grows if a field changes its meaning or goes away."""

_json_command: ContextVar[str] = ContextVar("json_command", default="")
# What a terminal shows that does not have a sign.
_PLAIN: Final[Mapping[str, str]] = {
    "–": "-",
    "−": "-",
    "—": "-",
    "…": "~",
    "→": "->",
    "─": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "·": "-",
    "↑": "^",
    "↓": "v",
    "▏": "|",
}


def _note_json(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        _json_command.set(context.info_name or "")
    return wanted


JsonOption = Annotated[
    bool,
    typer.Option("--json", is_eager=True, callback=_note_json, help="Print JSON (docs/commands.md describes it)."),
]


def width() -> int | None:
    """Return the columns to fill: the terminal's, or what COLUMNS says; None in a pipe, where no line is broken."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal():
        return int(columns)
    return out.width if out.is_terminal else None


def prepare_output() -> None:
    """Make every text printable: signs that the terminal does not have are replaced. Forget what an earlier run asked for."""
    _json_command.set("")
    codecs.register_error("plain-signs", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain-signs")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def say(text: str) -> None:
    """Print a sentence. Square brackets stay as they are, and a command to copy is not broken into lines."""
    out.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a sentence that a person should know."""
    out.print(f"[yellow]note[/]: {escape(text)}", soft_wrap=True)


def print_json(command: str, *, ok: bool = True, error: str | None = None, **result: Any) -> None:
    """Print what a command found, in the shape of all commands.

    Args:
        command: its name.
        ok: whether it did what was asked, and found no fault: whether the exit code is 0.
        error: what went wrong, for people.
        result: the fields of this command.
    """
    typer.echo(json.dumps({"version": JSON_VERSION, "command": command, "ok": ok, "error": error, **result}, indent=2))


def print_rows(rows: Iterable[tuple[str, str]], colours: Mapping[str, str]) -> None:
    """Print names and texts in two columns; in a narrow terminal the texts go below the names, in a pipe nothing is broken into lines.

    Args:
        rows: a name and a text of one or more lines.
        colours: a name → its colour.
    """
    rows, columns = list(rows), width()
    indent = max((len(name) for name, _ in rows), default=0) + 2
    if is_narrow := columns is not None and columns < indent + 40:
        indent = 2
    for name, text in rows:
        lines = [part for line in text.splitlines() for part in _wrapped(line, columns and columns - indent)]
        shown = f"[{colours[name]}]{escape(name)}[/]" if name in colours else escape(name)
        if is_narrow:
            out.print(shown, soft_wrap=True)
        for number, line in enumerate(lines):
            before = " " * indent if number or is_narrow else shown + " " * (indent - len(name))
            out.print(before + escape(line), soft_wrap=True)


def _wrapped(line: str, columns: int | None) -> list[str]:
    """Return a line in parts that fit."""
    if columns is None:
        return [line]
    return textwrap.wrap(line, max(columns, 20), break_on_hyphens=False) or [""]


def command_home() -> Home:
    """Return the home that the environment names.

    Raises:
        RuntimeError: no variable names one.
        ForeignHomeError: it belongs to another user.
    """
    home = Home.from_environment()
    check_owner(home)
    return home


def complain(message: str) -> None:
    """Print what is wrong, without ending the command."""
    err.print(f"[bold red]error[/]: {escape(message)}", soft_wrap=True)


def fail(message: str, code: int = 1, details: Iterable[str] = ()) -> NoReturn:
    """Print what is wrong and what to do, and exit.

    Args:
        message: for people.
        code: the exit code.
        details: more lines below it.
    """
    if command := _json_command.get():
        print_json(command, ok=False, error="\n".join((message, *details)))
    complain(message)
    for line in details:
        err.print(f"  {escape(line)}", soft_wrap=True)
    raise typer.Exit(code)
