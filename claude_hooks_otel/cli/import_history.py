"""``import``: reads the transcripts of all sessions that no hook has captured, also from before the installation."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from claude_hooks_otel.cli.console import JsonOption, command_home, err, fail, out, print_json, say
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.ranges import EVERYTHING, RangeError, parse_range
from claude_hooks_otel.settings import ConfigError, load
from claude_hooks_otel.sources.transcript_files import config_folders


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("import", epilog="Example: claude-hooks-otel import --since 2026-01-01")
    def import_history(
        since: Annotated[
            str | None, typer.Option(help="Only sessions that were written to since this day, such as 2026-11-01.")
        ] = None,
        config_dir: Annotated[
            list[Path] | None,
            typer.Option(
                help="A configuration folder of Claude Code, once or several times. Default: those of this user."
            ),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show what would be read, and change nothing.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Read all of history: every transcript of sessions that no hook has captured.

        It can be stopped with Ctrl-C and goes on where it stopped. Reading twice counts once. Exported counters do not jump: history is
        in the store, for `report`.
        """
        home = command_home()
        try:
            since_ns = parse_range(None, since=since, until=None, last=None, zone=None, now_ns=time.time_ns()).since_ns
            config = load(home.config, {})
        except (RangeError, ConfigError) as error:
            fail(str(error))
        # Only this command pays for the imports.
        from claude_hooks_otel.daemon import history  # noqa: PLC0415

        found = history.find_transcripts(config_dir or config_folders(os.environ), since_ns)
        if not found:
            named = ", ".join(map(str, config_dir or ())) or "~/.claude and ~/.config/claude"
            fail(f"There are no transcripts in {named}. Name the folder with --config-dir.")
        if dry_run:
            size = sum(each.size for each in found)
            sentence = f"Would read {len(found)} sessions, {size / 1e6:,.1f} MB."
            _print(as_json, {"sessions": len(found), "bytes": size}, sentence)
            return
        home.create()
        with closing(history.HistoryImport(home, config)) as reader:
            _read_all(home, reader, found, is_quiet=as_json)
        _print(as_json, asdict(reader.result), _sentence(reader.result))
        if not as_json:
            _print_months(home)


def _read_all(home: Home, reader: Any, found: list[Any], *, is_quiet: bool) -> None:
    """Read and pair all sessions. End the program if it is interrupted, or if the store cannot be written."""
    try:
        _read(reader, found, sum(each.size for each in found), is_quiet=is_quiet)
        reader.pair()
    except KeyboardInterrupt:
        err.print("Stopped. Run the command again to go on.")
        raise typer.Exit(130) from None
    except sqlite3.Error as error:
        fail(f"{home.store} cannot be written: {error}. Run the command again to go on.")


def _read(reader: Any, found: list[Any], size: int, *, is_quiet: bool) -> None:
    """Read all sessions, with a progress bar on a terminal."""
    columns = (
        TextColumn("{task.fields[sessions]} sessions"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=is_quiet or not err.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=size, sessions=0)
        for number, each in enumerate(found, start=1):
            read = sum(_advancing(progress, task, reader.read(each)))
            progress.update(task, advance=max(0, each.size - read), sessions=number)


def _advancing(progress: Progress, task: Any, steps: Iterator[int]) -> Iterator[int]:
    for number in steps:
        progress.update(task, advance=number)
        yield number


def _sentence(result: Any) -> str:
    parts = [f"Read {result.sessions} sessions, {result.bytes_read / 1e6:,.1f} MB."]
    if result.known:
        parts.append(f"{result.known} were known already.")
    if result.captured:
        parts.append(f"{result.captured} were captured by hooks, so they count already.")
    return " ".join(parts)


def _print(as_json: bool, value: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json("import", **value)
    else:
        say(sentence)


def _print_months(home: Home) -> None:
    """Print what the store knows of each month."""
    from claude_hooks_otel.cli.report_range import print_range  # noqa: PLC0415

    out.print()
    print_range(home, EVERYTHING, by=("month",))
