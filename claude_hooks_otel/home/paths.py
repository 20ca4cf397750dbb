"""Where all state is: one folder, named by ``CLAUDE_HOOKS_OTEL_HOME`` or by the XDG rule.

``hooks/emit`` computes the same folder in POSIX sh. ``tests/home/test_paths.py`` compares the two. This module uses only the
standard library, because the parts that must start fast import it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "CLAUDE_HOOKS_OTEL_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all state of one user. Every other path derives from it."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Home:
        """Return the home that a hook uses when it runs with ``environ``.

        Raises:
            RuntimeError: neither CLAUDE_HOOKS_OTEL_HOME, XDG_STATE_HOME nor HOME is set.
        """
        environ = os.environ if environ is None else environ
        if explicit := environ.get(HOME_VARIABLE):
            return cls(Path(explicit))
        if state := environ.get("XDG_STATE_HOME"):
            return cls(Path(state) / "claude-hooks-otel")
        if home := environ.get("HOME"):
            return cls(Path(home) / ".local" / "state" / "claude-hooks-otel")
        raise RuntimeError(f"There is no home folder. Set {HOME_VARIABLE} (or HOME) to the folder for all state.")

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
    def interpreter(self) -> Path:
        """A file with the path of the Python that has the package, so that hooks find it."""
        return self.root / "python"

    @property
    def emit(self) -> Path:
        """The copy of ``hooks/emit`` that settings files register: it outlives the Python environment that it came from."""
        return self.root / "emit"

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
    def log(self) -> Path:
        """The daemon's log."""
        return self.root / "daemon.log"

    @property
    def flush_requests(self) -> Path:
        """The folder for requests: each file asks the daemon for a flush, and the daemon answers with another file."""
        return self.root / "flush"

    def create(self) -> None:
        """Create the folders. Only their owner can read them."""
        for folder in (
            self.root,
            self.spool,
            *(self.spool / part for part in ("tmp", "new", "broken")),
            self.flush_requests,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
