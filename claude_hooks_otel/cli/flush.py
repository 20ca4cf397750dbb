"""``flush``: reads everything captured so far and delivers it now. The exit code is 0 only if every endpoint accepted everything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, complain, fail, print_json, say
from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.home.flush_requests import FlushAnswer
from claude_hooks_otel.store.damage import explain
from claude_hooks_otel.timeline import FLUSH_TIMEOUT

_THINGS = {"metrics": "series", "traces": "spans", "logs": "log events", "measurements": "measurements"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel flush --timeout 10 && echo everything was accepted")
    def flush(
        timeout: Annotated[
            float, typer.Option(min=0.1, help="Seconds to wait for the endpoints' answers.")
        ] = FLUSH_TIMEOUT,
        as_json: JsonOption = False,
    ) -> None:
        """Read everything captured so far and deliver it now. The exit code is 0 only if all of it was accepted."""
        home = command_home()
        try:
            answer = flush_now(home, timeout, {})
        except TimeoutError as error:
            fail(str(error))
        except sqlite3.Error as error:
            fail(explain(home.store, error))
        problems = list(_problems(answer))
        if as_json:
            print_json(
                "flush",
                ok=answer.ok,
                error="\n".join(problems) or None,
                exporters=_as_json(answer),
                is_behind=answer.is_behind,
            )
        else:
            print_answer(answer)
        if not answer.ok:
            raise typer.Exit(1)


def print_answer(answer: FlushAnswer) -> None:
    """Print what each endpoint accepted of each signal; what was not accepted, and why, goes to standard error."""
    for title, error in answer.exporters.items():
        if error is None:
            say(f"{title}: {_accepted(answer, title)}")
    if not (answer.exporters or answer.not_sent or answer.config_error):
        say("Everything is in the embedded store. No endpoint is configured.")
    for problem in _problems(answer):
        complain(problem)


def _accepted(answer: FlushAnswer, title: str) -> str:
    """Return what an endpoint accepted; a daemon of an earlier version does not say how much."""
    if title not in answer.accepted:
        return "accepted"
    count = answer.accepted[title]
    return f"accepted {count} {_THINGS.get(title.rpartition(' ')[2], 'parts')}" if count else "nothing to send"


def _problems(answer: FlushAnswer) -> Iterator[str]:
    """Yield what was not read or not accepted, a sentence or more each."""
    if answer.config_error:
        yield answer.config_error
    if answer.is_behind:
        yield (
            "A transcript is not read to its end yet: it is large, or its file system does not answer. "
            "Run `claude-hooks-otel flush` again."
        )
    for title, count in answer.given_up.items():
        yield f"{title}: {count} were refused for good and are not sent again. `claude-hooks-otel status` counts them."
    for title, reason in answer.not_sent.items():
        yield f"{title}: not accepted: {reason}"
    for title, error in answer.exporters.items():
        if error is not None:
            kept = "" if title.startswith("configuration ") else "kept, and tried again later"
            yield f"{title}: not accepted{f' ({kept})' if kept else ''}: {error}"


def _as_json(answer: FlushAnswer) -> list[dict[str, Any]]:
    reasons = {**answer.exporters, **answer.not_sent}
    return [
        {
            "name": title.rpartition(" ")[0],
            "signal": title.rpartition(" ")[2],
            "accepted": answer.accepted.get(title, 0),
            "given_up": answer.given_up.get(title, 0),
            "error": reason,
        }
        for title, reason in reasons.items()
    ]
