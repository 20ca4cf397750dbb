"""Where all state is: one folder, usually ``~/.local/state/claude-hooks-otel``.

``CLAUDE_HOOKS_OTEL_HOME`` or ``XDG_STATE_HOME`` name another one. Hooks start a daemon in it only if ``install`` has recorded it in the
usual home: a project may set a session's variables, and such a folder can hold a configuration and an interpreter of its own.

``hooks/emit`` computes the same folder in POSIX sh. ``tests/home/test_paths.py`` compares the two. This module uses only the
standard library, because the parts that must start fast import it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "CLAUDE_HOOKS_OTEL_HOME"
# How much of the list of homes is read.
MAX_RECORDS_BYTES = 1_000_000

_FOLDER = "claude-hooks-otel"


class NoHomeError(RuntimeError):
    """No environment variable names a folder for the state. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all state of one user. Every other path derives from it."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Home:
        """Return the home that a hook uses when it runs with ``environ``.

        Raises:
            NoHomeError: neither CLAUDE_HOOKS_OTEL_HOME, XDG_STATE_HOME nor HOME is set.
        """
        environ = os.environ if environ is None else environ
        if explicit := environ.get(HOME_VARIABLE):
            return cls(Path(explicit))
        if state := environ.get("XDG_STATE_HOME"):
            return cls(Path(state, _FOLDER))
        if usual := cls.usual(environ):
            return usual
        raise NoHomeError(f"There is no home folder. Set {HOME_VARIABLE} (or HOME) to the folder for all state.")

    @classmethod
    def usual(cls, environ: Mapping[str, str]) -> Home | None:
        """Return the home below the user's home folder; None if HOME is not set."""
        home = environ.get("HOME")
        return cls(Path(home, ".local", "state", _FOLDER)) if home else None

    def is_trusted(self, environ: Mapping[str, str] | None = None) -> bool:
        """Return whether hooks start a daemon here: whether this is the usual home, or one that ``install`` has recorded there."""
        usual = Home.usual(os.environ if environ is None else environ)
        return usual is not None and (self == usual or str(self.root) in usual.recorded())

    def recorded(self) -> list[str]:
        """Return the other homes that ``install`` has recorded in this one, which is the usual one."""
        try:
            with open(self.others, encoding="utf-8", opener=_open_own) as file:
                return file.read(MAX_RECORDS_BYTES).splitlines()
        except (OSError, ValueError):
            return []

    @property
    def spool(self) -> Path:
        """The maildir that hooks and the SDK write to: ``tmp/`` and ``new/``. ``broken/`` keeps what could not be read."""
        return self.root / "spool"

    @property
    def store(self) -> Path:
        """The SQLite database: facts, series, and what waits for delivery."""
        return self.root / "store.db"

    @property
    def config(self) -> Path:
        """The TOML configuration file."""
        return self.root / "config.toml"

    @property
    def last_config(self) -> Path:
        """The last configuration file that could be used. The daemon works with it while the present one cannot be used."""
        return self.root / "config.last-good.toml"

    @property
    def interpreter(self) -> Path:
        """A file with the path of the Python that has the package, so that hooks find it."""
        return self.root / "python"

    @property
    def emit(self) -> Path:
        """In the usual home: the copy of ``hooks/emit`` that settings files register. It outlives the environment that it came from."""
        return self.root / "emit"

    @property
    def status_line(self) -> Path:
        """In the usual home: the script that a registered status line runs."""
        return self.root / "statusline.sh"

    @property
    def plugin_token(self) -> Path:
        """In the usual home: the token of the plugin's options, which a hook writes. Only ``install --plugin`` reads it."""
        return self.root / "plugin_token"

    @property
    def installations(self) -> Path:
        """What ``install`` changed in each settings file, so that ``uninstall`` can restore it."""
        return self.root / "installations.json"

    @property
    def lock(self) -> Path:
        """The file that the daemon locks while it runs."""
        return self.root / "daemon.lock"

    @property
    def pid(self) -> Path:
        """The daemon's process id. A hook uses it to check whether the daemon is alive."""
        return self.root / "daemon.pid"

    @property
    def others(self) -> Path:
        """In the usual home: the paths of the other homes that ``install`` made, one in each line."""
        return self.root / "homes"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.root / "daemon.log"

    @property
    def console(self) -> Path:
        """What the exporter ``console`` writes, one JSON document a line."""
        return self.root / "console.jsonl"

    @property
    def flush_requests(self) -> Path:
        """The folder for requests: each file asks the daemon for a flush, and the daemon answers with another file."""
        return self.root / "flush"

    @property
    def prompt(self) -> Path:
        """The folder with what the hook shows at the next prompt (``home.prompt_files``)."""
        return self.root / "prompt"

    @property
    def lifted(self) -> Path:
        """The blocks that their owner has lifted, as the names of budgets and their periods, one in each line."""
        return self.root / "lifted"

    def create(self) -> None:
        """Create the folders. Only their owner can read them."""
        for folder in (
            self.root,
            self.spool,
            *(self.spool / part for part in ("tmp", "new", "broken")),
            self.flush_requests,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _open_own(path: str, flags: int) -> int:
    """Open a regular file of this process's user. Anything else is refused, and a pipe does not block.

    Raises:
        OSError: it cannot be opened, is no regular file, or belongs to somebody else.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
    return descriptor
