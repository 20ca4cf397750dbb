"""The edge of the command line: here every error of every command becomes a sentence."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import traceback
from typing import Any, Final

import typer
from typer.core import TyperGroup

from claude_hooks_otel.cli.console import fail, prepare_output
from claude_hooks_otel.cli.interrupts import is_interrupt
from claude_hooks_otel.home.ownership import ForeignHomeError
from claude_hooks_otel.home.paths import HOME_VARIABLE, NoHomeError
from claude_hooks_otel.installation.purge import PurgeError
from claude_hooks_otel.installation.settings_file import SettingsError
from claude_hooks_otel.settings import ConfigError
from claude_hooks_otel.store.schema import NewerStoreError

# With this variable, a fault of the program shows where it is in the code.
TRACEBACK_VARIABLE: Final = "CLAUDE_HOOKS_OTEL_TRACEBACK"
# Their messages are for people already.
_EXPLAINED: Final = (ForeignHomeError, NoHomeError, PurgeError, SettingsError, ConfigError, NewerStoreError)
# The base class of errors in how a command is called. The library that has it differs between versions of typer.
_UsageError: Final[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Commands(TyperGroup):
    """All commands. No error leaves it but as a sentence."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line."""
        prepare_output()
        return super().main(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, _UsageError, EOFError):
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe is gone, such as `head`
                raise
            fail(explanation(error))
        except Exception as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from None
            if os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exc(file=sys.stderr)
            fail(explanation(error))


def explanation(error: Exception) -> str:
    """Return what happened and what to do."""
    match error:
        case OSError() if error.filename and error.strerror:
            return (
                f"{os.fsdecode(error.filename)}: {error.strerror}. Make it accessible to your user, or name another folder "
                f"in {HOME_VARIABLE}."
            )
        case OSError() if error.strerror:
            return f"The operating system refused something: {error.strerror}."
        case OSError():
            return str(error)
        case sqlite3.Error():
            return store_explanation(str(error))
        case _ if isinstance(error, _EXPLAINED):
            return str(error)
    return (
        f"This is a fault of claude-hooks-otel: {type(error).__name__}: {error}. Please report it. "
        f"With {TRACEBACK_VARIABLE}=1, the command shows where it happened."
    )


def store_explanation(text: str) -> str:
    """Return what is wrong with the store and what to do.

    Args:
        text: what SQLite says.
    """
    if "locked" in text or "busy" in text:
        return "The store is busy: another program has locked it. Try again. Events wait in the spool meanwhile."
    if "readonly" in text or "unable to open" in text:
        return f"The store cannot be opened: {text}. Run `claude-hooks-otel doctor`."
    if "full" in text:
        return f"The store cannot be written: {text}. Free some space. Events wait in the spool meanwhile."
    return f"The store cannot be read: {text}. Run `claude-hooks-otel doctor`, which says what to do."
