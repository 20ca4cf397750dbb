"""``daemon``: runs the daemon in the foreground. Hooks start it on their own."""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import command_home, out
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
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
        home = command_home()
        if stop:
            out.print("Told the daemon to stop." if tell_to_stop(home) else "No daemon is running.")
            return
        try:
            lock = DaemonLock.acquire(home)
        except AlreadyRunningError:
            out.print("A daemon is already running.")
            return
        # Only the process with the lock pays for the imports.
        from claude_hooks_otel.daemon.environment import replace_environment  # noqa: PLC0415
        from claude_hooks_otel.daemon.loop import serve, start_again  # noqa: PLC0415

        try:
            if detached:
                replace_environment(home)
            is_replaced = serve(home, {} if detached else dict(os.environ))
        finally:
            lock.release()
        if is_replaced:
            start_again()
