"""``daemon``: runs the daemon in the foreground. Hooks start it on their own."""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import out
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.purge import tell_to_stop


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def daemon(
        stop: Annotated[
            bool, typer.Option("--stop", help="Stop the running daemon. What hooks capture waits in the spool.")
        ] = False,
        detached: Annotated[
            bool, typer.Option("--detached", hidden=True, help="Detach from the terminal first. Hooks use this.")
        ] = False,
    ) -> None:
        """Run the daemon in the foreground until it is idle or interrupted. Hooks start it on their own."""
        if detached:
            with contextlib.suppress(OSError):
                os.setsid()
        home = Home.from_environment()
        if stop:
            out.print("Told the daemon to stop." if tell_to_stop(home) else "No daemon is running.")
            return
        try:
            lock = DaemonLock.acquire(home)
        except AlreadyRunningError:
            out.print("A daemon is already running.")
            return
        from claude_hooks_otel.daemon.loop import serve  # noqa: PLC0415 — only the process with the lock pays for the imports

        try:
            serve(home, dict(os.environ))
        finally:
            lock.release()
