"""``store``: checks the embedded store, copies it, and puts a copy back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import command_home, fail, out
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.purge import PurgeError, stop_daemon
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain, find_damage, newer_schema, schema_of
from claude_hooks_otel.store.schema import SCHEMA_VERSION
from claude_hooks_otel.store.store import copy_to, files_of

File = Annotated[Path, typer.Argument(help="The copy's file.", metavar="FILE")]

store_app = typer.Typer(help="Check the embedded store, copy it, and put a copy back.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(store_app, name="store")


@store_app.command()
def check() -> None:
    """Read the whole store, and say whether it is sound. The exit code is 1 if it is damaged."""
    home = command_home()
    store = home.store
    if not store.exists():
        out.print(
            f"There is no store in {escape(str(home.root))} yet. The daemon makes it when the first session starts."
        )
        return
    with _explained(store):
        if damage := find_damage(store):
            fail(f"{store} is damaged: {damage}. {_what_happens(home)}")
        with closing(connect(store, readonly=True)) as connection:
            if newer := newer_schema(connection):
                fail(newer)
            schema = schema_of(connection)
            sessions, series = connection.execute(
                "SELECT (SELECT COUNT(*) FROM session), (SELECT COUNT(*) FROM series)"
            ).fetchone()
    sizes = ", ".join(
        f"{file.name} {file.stat().st_size / 1e6:.1f} MB" for file in files_of(store)[:2] if file.exists()
    )
    older = f"; the daemon migrates it to {SCHEMA_VERSION}" if schema < SCHEMA_VERSION else ""
    out.print(f"The store is sound: {sessions} sessions, {series} series, schema {schema}{older}.")
    out.print(f"Files: {escape(sizes)}.")


@store_app.command()
def backup(
    file: File,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Copy the store into a file, also while the daemon runs. Only you can read the file."""
    store = command_home().store
    if not store.exists():
        fail(f"There is no store at {escape(str(store))}, so there is nothing to copy.")
    if file.exists() and not force:
        fail(f"{escape(str(file))} exists. Name another file, or overwrite it with --force.")
    if file.exists() and file.samefile(store):
        fail("This file is the store itself. Name another file.")
    draft = file.with_name(f".{file.name}.draft")
    with _explained(store):
        try:
            with closing(connect(store, readonly=True)) as connection:
                copy_to(connection, draft)
            draft.replace(file)
        except OSError as error:
            fail(f"{file} cannot be written: {error.strerror}.")
        finally:
            draft.unlink(missing_ok=True)
    out.print(f"Copied the store to {escape(str(file))} ({file.stat().st_size / 1e6:.1f} MB).")


@store_app.command()
def restore(file: File) -> None:
    """Put a copy in the place of the store, which is set aside. The daemon is stopped first; the next session starts it again."""
    home = command_home()
    if not file.is_file():
        fail(f"There is no file {escape(str(file))}.")
    with _explained(file):
        if damage := find_damage(file):
            fail(f"{file} is damaged: {damage}. The store was not changed.")
        with closing(connect(file, readonly=True)) as connection:
            if newer_schema(connection):
                fail(f"A newer claude-hooks-otel wrote {escape(str(file))}. The store was not changed.")
    # These need everything that the daemon is made of.
    from claude_hooks_otel.daemon.recovery import replace_store  # noqa: PLC0415

    try:
        lock = stop_daemon(home)
    except PurgeError as error:
        fail(str(error))
    try:
        with _explained(home.store):
            aside = replace_store(home, file)
    except OSError as error:
        fail(f"{error.filename or home.root}: {error.strerror}. The store was not changed.")
    finally:
        lock.release()
    out.print(f"Restored the store from {escape(str(file))}.")
    if aside:
        out.print(f"The store before it is in {escape(str(aside))}. Delete it when you do not need it.")
    out.print(
        "The next start of the daemon reads what the transcripts have since the copy. Then the series begin again under a new "
        "service.instance.id, because totals may be lower than those that endpoints already have. What an endpoint has accepted is "
        "not exported again."
    )


def _what_happens(home: Home) -> str:
    if is_running(home):
        return "The running daemon recovers it when it meets the damage. To have it done now, run `claude-hooks-otel daemon --stop`, then `claude-hooks-otel flush`."
    return "The next start of the daemon sets it aside and recovers what can be read. Run `claude-hooks-otel flush` to do that now."


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """End the program with a sentence if a store cannot be read or written."""
    try:
        yield
    except sqlite3.Error as error:
        fail(explain(path, error))
