"""Where everything lives: one folder, named by ``CLAUDE_HOOKS_OTEL_HOME`` or by the XDG rule.

``hooks/emit`` computes the same folder in POSIX sh; ``tests/home/test_paths.py`` holds the two against each other. Standard library
only: the parts that must start fast import this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "CLAUDE_HOOKS_OTEL_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all state of one user; every path of the product is derived from it."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Home:
        """The home that a hook run with ``environ`` would use.

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
        raise RuntimeError(f"no home folder: set {HOME_VARIABLE} (or HOME) to say where the state may live")

    @property
    def spool(self) -> Path:
        """The maildir that hooks and the SDK write: ``tmp/`` and ``new/``; ``broken/`` keeps what no reader understood."""
        return self.root / "spool"

    @property
    def store(self) -> Path:
        """The SQLite database: facts, series, and what still has to be exported."""
        return self.root / "store.db"

    @property
    def config(self) -> Path:
        """The TOML configuration file."""
        return self.root / "config.toml"

    @property
    def interpreter(self) -> Path:
        """A file whose one line is the Python that has the package: how a hook finds it without any path of its own."""
        return self.root / "python"

    @property
    def emit(self) -> Path:
        """The copy of ``hooks/emit`` that settings files register: it outlives the Python environment it came from."""
        return self.root / "emit"

    @property
    def installations(self) -> Path:
        """What ``install`` changed in which settings file, for ``uninstall`` to put back."""
        return self.root / "installations.json"

    @property
    def lock(self) -> Path:
        """Locked by the daemon for as long as it lives."""
        return self.root / "daemon.lock"

    @property
    def pid(self) -> Path:
        """The daemon's process id, for the hook's cheap question whether it is alive."""
        return self.root / "daemon.pid"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.root / "daemon.log"

    @property
    def flush_requests(self) -> Path:
        """A folder in which a file named after a request asks the daemon for a flush; the daemon answers in the file."""
        return self.root / "flush"

    def create(self) -> None:
        """Makes the folders, readable by their owner alone."""
        for folder in (
            self.root,
            self.spool,
            *(self.spool / part for part in ("tmp", "new", "broken")),
            self.flush_requests,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
