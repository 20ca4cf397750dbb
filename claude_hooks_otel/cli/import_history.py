"""``import``: reads the transcripts of all sessions that no hook has captured, also from before the installation."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from claude_hooks_otel.cli.console import JsonOption, command_home, err, fail, out, print_json, say
from claude_hooks_otel.cli.interrupts import INTERRUPTED
from claude_hooks_otel.cli.waiting_events import TIMEOUT
from claude_hooks_otel.daemon.take_in import take_in
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.ranges import EVERYTHING, RangeError, parse_range
from claude_hooks_otel.settings import Config, ConfigError, load
from claude_hooks_otel.sources.transcript_files import config_folders

if TYPE_CHECKING:
    from claude_hooks_otel.daemon.history import ImportResult

# Seconds between two drawings of the progress bar.
SHOWN_EVERY: Final = 0.1


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
        _take_in_waiting(home)
        result = _read_all(home, config, found, is_quiet=as_json)
        _print(as_json, asdict(result), _sentence(result))
        if not as_json:
            _print_months(home)


def _read_all(home: Home, config: Config, found: Sequence[Any], *, is_quiet: bool) -> ImportResult:
    """Read and pair all sessions. End the program if it is interrupted, or if the store cannot be written."""
    from claude_hooks_otel.daemon.import_workers import ImportFailedError, run_import  # noqa: PLC0415

    try:
        with _progress(len(found), sum(each.size for each in found), is_quiet=is_quiet) as advance:
            return run_import(home, config, found, advance)
    except KeyboardInterrupt:
        err.print("Stopped. Run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    except (sqlite3.Error, ImportFailedError) as error:
        fail(f"{home.store} cannot be written: {error}. Run the command again to go on.")


def _take_in_waiting(home: Home) -> None:
    """Take in the events that wait. What hooks have captured is left to the daemon, so it has to be known. End the program otherwise."""
    try:
        left = take_in(home, TIMEOUT)
    except (OSError, sqlite3.Error) as error:
        fail(f"The events that wait in {home.spool} cannot be read: {error}. Run `claude-hooks-otel doctor`.")
    if left:
        fail(
            f"The daemon has not read {left} waiting events yet, and the import must not count their sessions. "
            "Run the command again, or `claude-hooks-otel status`."
        )


@contextmanager
def _progress(sessions: int, size: int, *, is_quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal. Yield a function that advances it by a number of bytes."""
    columns = (
        TextColumn(f"{sessions} sessions"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    hidden = is_quiet or not err.is_terminal
    # It draws only when it advances: a thread of its own must not run while this process is copied.
    with Progress(*columns, console=err, disable=hidden, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=size)
        shown_at = 0.0

        def advance(number: int) -> None:
            nonlocal shown_at
            progress.update(task, advance=number)
            if (now := time.monotonic()) - shown_at > SHOWN_EVERY:
                progress.refresh()
                shown_at = now

        yield advance


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
