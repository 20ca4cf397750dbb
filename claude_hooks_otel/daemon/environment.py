"""The environment of a daemon that a hook starts.

The hook runs in a session, and a project can set the session's variables. The daemon serves all sessions. So it takes over nothing from
that session: where telemetry goes, what is captured, and through which proxy, only the owner's file says.
"""

from __future__ import annotations

import os
from typing import Final

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import load_usable

# Variables that say who and where the user is, as ``hooks/emit`` passes them on. They change nothing about where telemetry goes.
_KEPT: Final = ("HOME", "LANG", "PATH", "TZ", HOME_VARIABLE)


def replace_environment(home: Home) -> None:
    """Replace this process's environment by what the configuration file's ``[environment]`` says, and a few neutral variables."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    chosen = load_usable(home.config, home.last_config, {})[0].environment
    os.environ.clear()
    os.environ.update(kept | chosen)
