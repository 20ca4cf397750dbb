"""The program behind a status line: reads the client's input, prints the line, and hands the input on to the spool.

Nothing that goes wrong reaches the session. The client hides the line of a program that fails, so this one ends with 0.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from claude_hooks_otel.report.statusline import given
from claude_hooks_otel.report.statusline.template import DEFAULT, FormatError, parse_format, render
from claude_hooks_otel.report.statusline.wrapped import output_of
from claude_hooks_otel.sources.status_input import hand_on

USAGE = "usage: claude-hooks-otel statusline [--format FORMAT] [--wrap COMMAND] [--wrap-after]  (docs/statusline.md)"


def run(arguments: list[str] | None = None) -> None:
    """Print the line, and end the process at once: taking an interpreter down takes longer than printing."""
    os._exit(main(sys.argv[1:] if arguments is None else arguments, os.environ))


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Print the line. Return 0; 2 if the arguments are wrong.

    Args:
        arguments: those of the command line.
        environ: the environment.
    """
    options = _options(arguments)
    if options is None:
        _print(sys.stderr, f"{USAGE}\nerror: these arguments are not understood: {' '.join(arguments)}\n")
        return 2
    content = _input()
    print_line(content, options["format"], options["wrap"], environ, wrap_after=bool(options["wrap_after"]))
    return 0


def print_line(content: bytes, text: str, wrap: str, environ: Mapping[str, str], *, wrap_after: bool) -> None:
    """Print the line, and hand the input on.

    Args:
        content: the client's input.
        text: the format; empty for the usual one.
        wrap: the command of another status line; empty for none.
        environ: the environment.
        wrap_after: whether the output of the other one comes last.
    """
    now = time.time()
    status = given.parse(content)
    home = given.trusted_home(environ)
    theirs = output_of(wrap, content, environ) if wrap else ""
    known = given.Given(status, home, now)
    try:
        ours = _line(text or DEFAULT, known, colour=not environ.get("NO_COLOR"))
    except Exception as error:
        ours = f"claude-hooks-otel statusline: {type(error).__name__}"
    known.close()
    both = (ours, theirs) if wrap_after else (theirs, ours)
    _print(sys.stdout, "\n".join(part for part in both if part) + "\n")
    if home is not None:
        try:  # noqa: SIM105 — contextlib takes longer than the printing
            hand_on(status, home, environ, int(now * 1e9))
        except Exception:  # noqa: S110 — the line is printed, and the next input says more
            pass


def _line(text: str, known: given.Given, *, colour: bool) -> str:
    try:
        parts = parse_format(text)
    except FormatError as error:
        return f"claude-hooks-otel statusline: {error}"
    return render(parts, known, colour=colour)


def _options(arguments: list[str]) -> dict[str, str] | None:
    found = {"format": "", "wrap": "", "wrap_after": ""}
    left = list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name == "--wrap-after":
            found["wrap_after"] = "yes"
        elif name in ("--format", "--wrap") and (equals or left):
            found[name[2:]] = value if equals else left.pop(0)
        else:
            return None
    return found


def _input() -> bytes:
    """Return what the client writes, at most MOST_INPUT bytes; nothing from a terminal, where nobody writes it."""
    try:
        if sys.stdin.isatty():
            _print(sys.stderr, "Claude Code describes the session on standard input. Without it, little is known.\n")
            return b""
        return sys.stdin.buffer.read(given.MOST_INPUT + 1)
    except (AttributeError, OSError, ValueError):  # it is closed, or a folder
        return b""


def _print(stream: object, text: str) -> None:
    """Write UTF-8, whatever the locale is: the client reads nothing else."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        return  # it is closed
    try:
        buffer.write(text.encode("utf-8", "replace"))
        buffer.flush()
    except (OSError, ValueError):
        pass  # the client is gone, or has started another one
