"""Claude Code's setting ``statusLine``: registers ours, wraps one that is there, and puts it back byte for byte."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

import claude_hooks_otel
from claude_hooks_otel.installation.json_text import JsonText

SETTING: Final = "statusLine"
# The launcher in the usual home, as a registered hook names its ``emit``: no path of a machine, and no variable but HOME decides what runs.
LAUNCHER: Final = '"$HOME/.local/state/claude-hooks-otel/statusline.sh"'
_BEGINNING: Final = f"sh {LAUNCHER}"
# Seconds after which the client runs it again without an event, so that costs of other sessions and the time left are not old.
REFRESH_SECONDS: Final = 30
_SCRIPT: Final = """\
# Written by `claude-hooks-otel install --statusline`: runs the status line with the Python that has the package.
python={python}
packages={packages}
if [ -x "$python" ] && [ -d "$packages/claude_hooks_otel/report/statusline" ]; then
  exec "$python" -I -S -c 'import sys
sys.path.append(sys.argv.pop(1))
from claude_hooks_otel.report.statusline.line import run
run()' "$packages" "$@"
fi
# The package is gone. The status line that was there before goes on.
while [ $# -gt 1 ]; do
  [ "$1" != --wrap ] || exec /bin/sh -c "$2"
  shift
done
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose.

    Attributes:
        wanted: whether there is to be a status line of ours.
        format: the format; empty for the usual one.
        above: whether our line comes before that of the wrapped command.
    """

    wanted: bool
    format: str = ""
    above: bool = False


class Registered(BaseModel):
    """What we changed in ``statusLine``.

    Attributes:
        path: what we set, as a path from the document's root.
        before: the text of what was there; None if nothing was.
    """

    path: list[str]
    before: str | None = None


def launcher(python: str) -> bytes:
    """Return the content of the launcher.

    Args:
        python: the path of the interpreter that has the package.
    """
    packages = Path(claude_hooks_otel.__file__).parent.parent
    return _SCRIPT.format(python=shlex.quote(python), packages=shlex.quote(str(packages))).encode()


def command_of(settings: Any) -> str | None:
    """Return the command in ``statusLine`` of a settings object of any shape; None if there is none."""
    value = settings.get(SETTING) if isinstance(settings, dict) else None
    command = value.get("command") if isinstance(value, dict) else None
    return command if isinstance(command, str) else None


def is_ours(command: str | None) -> bool:
    """Return whether ``register`` made a command."""
    return command is not None and (command == _BEGINNING or command.startswith(f"{_BEGINNING} "))


def wrapped_in(command: str) -> str:
    """Return the command that a command of ours wraps; empty if it wraps none."""
    words = shlex.split(command)
    return words[words.index("--wrap") + 1] if "--wrap" in words[:-1] else ""


def register(document: JsonText, choice: Choice, before: Registered | None) -> Registered:
    """Set our command. Return what was there, for ``restore``.

    Args:
        document: the settings.
        choice: what a person chose.
        before: what an earlier run returned.
    """
    present = command_of(document.value)
    if present is not None and is_ours(present):
        document.set([SETTING, "command"], _command(choice, wrapped_in(present)))
        return before or Registered(path=[SETTING])
    if present is not None:
        path = [SETTING, "command"]
        text = document.text_of(path)
        document.set(path, _command(choice, present))
        return Registered(path=path, before=text)
    text = document.text_of([SETTING])
    value = {"type": "command", "command": _command(choice, ""), "refreshInterval": REFRESH_SECONDS}
    document.set([SETTING], value)
    return Registered(path=[SETTING], before=text)


def restore(document: JsonText, registered: Registered | None) -> bool:
    """Put back what was there before, unless somebody has set another command since. Return whether anything changed.

    Args:
        document: the settings.
        registered: what ``register`` returned; None if that was lost.
    """
    command = command_of(document.value)
    if command is None or not is_ours(command):
        return False
    if registered is not None and registered.before is not None:
        document.set_text(registered.path, registered.before)
    elif theirs := wrapped_in(command):
        document.set([SETTING, "command"], theirs)
    else:
        document.remove([SETTING])
    return True


def _command(choice: Choice, wrapped: str) -> str:
    return " ".join((_BEGINNING, *map(shlex.quote, _arguments(choice, wrapped))))


def _arguments(choice: Choice, wrapped: str) -> Iterator[str]:
    if choice.format:
        yield from ("--format", choice.format)
    if wrapped:
        yield from ("--wrap", wrapped)
        if choice.above:
            yield "--wrap-after"
