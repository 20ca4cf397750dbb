"""``serve``: shows the store on a web page of this machine."""

from __future__ import annotations

import contextlib
import os
import webbrowser
from typing import Annotated, Final

import typer

from claude_hooks_otel.cli.console import command_home, fail, say
from claude_hooks_otel.cli.waiting_events import take_in_waiting
from claude_hooks_otel.home.lock import is_running

# The port, unless another one is asked for.
PORT: Final = 4319
_MISSING: Final = "The page needs the extra `web`. Install the package with it, for example with `pipx install '.[web]'` in a clone of the repository."


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel serve --open")
    def serve(
        open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
        port: Annotated[int, typer.Option(min=0, max=65535, help="The port on loopback; 0 for any free one.")] = PORT,
    ) -> None:
        """Show everything on a web page: what sessions did, one session step by step, and what runs now.

        Only this machine can reach it, and only with the link that is printed. It reads the store and changes nothing.
        """
        try:
            from claude_hooks_otel.web.server import PageServer  # noqa: PLC0415 — an optional extra
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "jinja2"):
                raise
            fail(_MISSING)
        home = command_home()
        if not is_running(home):  # a daemon does it by itself
            take_in_waiting(home)
        try:
            server = PageServer(home, os.environ, port, _used)
        except OSError as error:
            fail(f"Port {port} cannot be used: {error.strerror}. `--port 0` takes any free one.")
        say(f"The page is at {server.link}")
        say("The link works once, and only on this machine. Ctrl-C ends the page.")
        if open_:
            webbrowser.open(server.link)
        with contextlib.suppress(KeyboardInterrupt):
            server.run()


def _used(link: str) -> None:
    say(f"The page was opened. For another browser: {link}")
