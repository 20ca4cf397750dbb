"""``[budgets]`` as it is now: a daemon that runs takes over what its owner changes in the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import BudgetsConfig, ConfigError, load


class BudgetSettings:
    """The budgets of one home.

    Args:
        home: its configuration file counts, and nothing else.
        config: the budgets that the daemon has started with.
        environ: the environment of the daemon.
    """

    def __init__(self, home: Home, config: BudgetsConfig, environ: Mapping[str, str]) -> None:
        self.path = home.config
        self._environ = environ
        self._seen: bytes | None = None  # the first refresh loads the file: it may have changed since the start
        self.config = config

    def refresh(self) -> bool:
        """Read the file if it has changed. Return whether the budgets have. A file that cannot be used changes nothing."""
        if (seen := _content(self.path)) == self._seen:
            return False
        self._seen = seen
        try:
            config = load(self.path, self._environ).budgets
        except ConfigError:
            return False
        changed, self.config = config != self.config, config
        return changed


def _content(path: Path) -> bytes:
    """Return what the file says: two changes within one tick of the clock have the same modification time."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
