"""``flush``: takes in everything captured so far and exports it now; exit code 0 only when every endpoint accepted it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from claude_hooks_otel.cli.console import fail, out
from claude_hooks_otel.home.flush_requests import request_flush
from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock
from claude_hooks_otel.home.paths import Home


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def flush(
        timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a running daemon's answer.")] = 40.0,
    ) -> None:
        """Take in everything captured so far and export it now."""
        home = Home.from_environment()
        try:
            answer = flush_now(home, timeout)
        except TimeoutError as error:
            fail(str(error))
        failures = {name: reason for name, reason in answer["exporters"].items() if reason}
        for name, reason in failures.items():
            out.print(f"[red]{name}[/]: {reason}")
        if failures:
            fail(
                "not everything was accepted; it stays in the store, and the next export carries it. Try `claude-hooks-otel doctor`."
            )
        names = ", ".join(answer["exporters"])
        out.print(
            f"Accepted by {names}." if names else "Everything is in the embedded store; no endpoint is configured."
        )


def flush_now(home: Home, timeout: float, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Flushes through the running daemon, or as the daemon where none runs.

    Args:
        home: whose spool.
        timeout: seconds to wait for a running daemon.
        environ: the environment that configures the exports, where none runs.

    Returns:
        ``{"ok": bool, "exporters": {name: error or None}}``

    Raises:
        TimeoutError: a running daemon did not answer in time.
    """
    try:
        lock = DaemonLock.acquire(home)
    except AlreadyRunningError:
        return request_flush(home, timeout)
    from claude_hooks_otel.daemon.service import Service  # noqa: PLC0415 — only the one that holds the lock pays for the imports

    try:
        home.create()
        service = Service(home, os.environ if environ is None else environ)
        try:
            service.drain()
            outcome = service.flush()
        finally:
            service.close()
    finally:
        lock.release()
    return {"ok": not any(outcome.values()), "exporters": outcome}
