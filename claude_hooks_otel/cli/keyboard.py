"""Single keys from a terminal, without Enter and without an echo."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

# What terminals send for keys without a sign. Source: xterm's "ctlseqs"; ``O`` instead of ``[`` in application mode.
_SEQUENCES: Final = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[5~": "page up", "\x1b[6~": "page down", "\x1b[H": "home", "\x1b[F": "end", "\x1b[1~": "home",
    "\x1b[4~": "end", "\x1bOA": "up", "\x1bOB": "down", "\x1bOH": "home", "\x1bOF": "end", "\x1b": "escape", "\r": "enter",
    "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x04": "end of input",
}  # fmt: skip
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[ -/]*[@-~]|\x1bO.|.", re.DOTALL)


def parse_keys(text: str) -> list[str]:
    """Return the keys in what a terminal sent: a sign, or a name such as ``up``. Unknown sequences are left out."""
    keys = (_SEQUENCES.get(found, found) for found in _KEY.findall(text))
    return [key for key in keys if key.isprintable() and not key.startswith("\x1b")]


class Keyboard:
    """The keys of a terminal in cbreak mode."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> list[str]:
        """Return the keys that were pressed, as soon as there are any; none after ``seconds``. The end of the input is ``end of input``."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        try:
            sent = os.read(self._descriptor, 1024)
        except OSError:  # the terminal is gone
            sent = b""
        return parse_keys(sent.decode(errors="ignore")) if sent else ["end of input"]


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Read single keys from standard input. The terminal's mode comes back at the end, also after SIGTERM.

    Ctrl-Z does nothing meanwhile, because a stopped command would leave its screen behind.
    """
    import termios  # noqa: PLC0415 — only here, and only Unix has them
    import tty  # noqa: PLC0415

    descriptor = sys.stdin.fileno()
    mode = termios.tcgetattr(descriptor)
    handlers = [(signal.SIGTERM, signal.signal(signal.SIGTERM, _leave))]
    handlers.append((signal.SIGTSTP, signal.signal(signal.SIGTSTP, signal.SIG_IGN)))
    try:
        tty.setcbreak(descriptor)
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)
        for number, handler in handlers:
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
