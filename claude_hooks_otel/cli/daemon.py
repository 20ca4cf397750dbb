"""``daemon``: runs the daemon in the foreground. Hooks start it on their own."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, fail, print_json, say
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.installation.purge import tell_to_stop


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel daemon --stop")
    def daemon(
        stop: Annotated[
            bool, typer.Option("--stop", help="Stop the running daemon. What hooks capture waits in the spool.")
        ] = False,
        detached: Annotated[bool, typer.Option("--detached", hidden=True, help="For hooks only.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Run the daemon in the foreground until it is idle or interrupted. Hooks start it on their own."""
        if detached and sys.stdin.isatty():
            fail("--detached is for hooks only. Run `claude-hooks-otel daemon`, or let the next session start it.", 2)
        if detached:
            with contextlib.suppress(OSError):
                os.setsid()
        home = command_home()
        if stop:
            stopped = tell_to_stop(home)
            if as_json:
                print_json("daemon", told_to_stop=stopped)
            else:
                say("Told the daemon to stop." if stopped else "No daemon is running.")
            return
        try:
            lock = DaemonLock.acquire(home)
        except AlreadyRunningError:
            if as_json:
                print_json("daemon", already_running=True)
            else:
                say("A daemon is already running.")
            return
        # Only the process with the lock pays for the imports.
        from claude_hooks_otel.daemon.environment import replace_environment  # noqa: PLC0415
        from claude_hooks_otel.daemon.loop import serve  # noqa: PLC0415
        from claude_hooks_otel.daemon.replacement import start_again  # noqa: PLC0415

        try:
            if detached:
                replace_environment(home)
            is_replaced = serve(home, {} if detached else dict(os.environ), lock, None if detached else sys.stdout)
        finally:
            lock.release()
        if is_replaced:
            start_again()
