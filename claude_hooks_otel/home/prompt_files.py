"""What the hook shows at the next prompt: notices, each shown once, and blocks, which refuse prompts. ``hooks/emit`` reads these files.

Each file holds one line, is replaced in one step, and ends at the time that it has as its time of modification. So a block ends with
its period, even if no daemon runs then.

| file in ``prompt/`` | content |
|---|---|
| ``NAME.notice`` | a text, escaped for JSON, without quotes; the hook that renames it first shows it |
| ``NAME.draft`` | a notice that no hook shows yet |
| ``block`` | the JSON object that makes the client refuse the prompts of every session |
| ``block.SESSION`` | the same for one session |
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.units import SECOND

# A hook takes milliseconds to show what it has renamed. If it was killed meanwhile, the rest is deleted after this time, in seconds.
_CLAIMED_FOR: Final = 60.0
_BLOCK: Final = "block"
# The latest time of a file that every file system can keep (2038).
_LATEST: Final = (2**31 - 1) * SECOND


class PromptFiles:
    """The files of one home. Only the daemon and ``budgets --lift`` write them."""

    def __init__(self, home: Home) -> None:
        self._folder = home.prompt

    def draft(self, name: str, text: str, ends_ns: int) -> None:
        """Prepare a notice. ``show`` lets hooks show it.

        Args:
            name: letters and digits.
            text: one line for people.
            ends_ns: when it is not worth showing any more, Unix nanoseconds.

        Raises:
            OSError: the folder cannot be written.
        """
        self._write(f"{name}.draft", json.dumps(text)[1:-1], ends_ns)

    def show(self, name: str) -> None:
        """Let the next hook show a draft. If there is none, it was shown or dropped already."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{name}.draft").rename(self._folder / f"{name}.notice")

    def drop(self, name: str) -> None:
        """Delete a draft."""
        (self._folder / f"{name}.draft").unlink(missing_ok=True)

    def drafts(self) -> list[str]:
        """Return the names of the drafts."""
        return sorted(path.stem for path in self._files() if path.suffix == ".draft")

    def block(self, reasons: Mapping[str | None, tuple[str, int]]) -> None:
        """Block prompts for these reasons, and for no others.

        Args:
            reasons: a session's id, or None for every session → why, for people, and when it ends, Unix nanoseconds.

        Raises:
            OSError: the folder cannot be written.
        """
        wanted = {_BLOCK if session is None else f"{_BLOCK}.{session}": reason for session, reason in reasons.items()}
        for path in self._files():
            if path.name.partition(".")[0] == _BLOCK and path.name not in wanted:
                path.unlink(missing_ok=True)
        for name, (text, ends_ns) in wanted.items():
            # The hook shows only a line with exactly this beginning.
            self._write(name, json.dumps({"decision": "block", "reason": text}, separators=(",", ":")), ends_ns)

    def clean(self, now_ns: int) -> None:
        """Delete what has ended, and what killed hooks left."""
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                is_claimed = ".notice." in path.name and time.time() - status.st_ctime > _CLAIMED_FOR
                if is_claimed or (status.st_mtime_ns <= now_ns and path.suffix != ".draft"):
                    path.unlink()

    def clear(self) -> None:
        """Delete everything."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from [Path(entry.path) for entry in os.scandir(self._folder)]

    def _write(self, name: str, line: str, ends_ns: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, ends_ns = self._folder / name, min(ends_ns, _LATEST)
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.read_text() == f"{line}\n" and path.stat().st_mtime_ns == ends_ns:
                return
        new = self._folder / f".{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        os.utime(new, ns=(ends_ns, ends_ns))
        new.rename(path)


def read_lifted(home: Home) -> set[str]:
    """Return the lifted blocks; none if the file cannot be read."""
    try:
        return set(home.lifted.read_text().split("\n")) - {""}
    except (OSError, ValueError):
        return set()
