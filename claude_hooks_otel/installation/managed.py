"""An organization's managed settings of Claude Code: what to put into them, in which form, and whether they register our hooks here."""

from __future__ import annotations

import json
import plistlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.installation.advice import PLUGIN_NAME, plugin_enabled
from claude_hooks_otel.installation.hook_entries import registered_commands
from claude_hooks_otel.installation.status_line import REFRESH_SECONDS, SETTING
from claude_hooks_otel.settings import managed_files, read_managed
from claude_hooks_otel.settings.errors import PREFIX
from claude_hooks_otel.sources.registration import Registration, managed_hooks

# Where to install the package on machines that others manage.
USUAL_PREFIX: Final = "/opt/claude-hooks-otel"
MARKETPLACE: Final = "hooks-otel"


class Form(StrEnum):
    """How the settings are written: as a file, or for a device management."""

    JSON = "json"
    PLIST = "plist"


@dataclass(frozen=True, slots=True)
class Managed:
    """What an organization chose.

    Attributes:
        prefixes: where the package may be: absolute paths of Python environments, the first that has it wins.
        labels: the variables that every session gets.
        otel: the ``OTEL_*`` variables of every daemon.
        events: which events are registered.
        status_line: the format of the status line, empty for the usual one; None without one.
        marketplace: where the plugin comes from that registers the hooks, as ``OWNER/NAME``, a URL or a folder; None for hooks in the settings.
    """

    prefixes: Sequence[str] = (USUAL_PREFIX,)
    labels: Mapping[str, str] = field(default_factory=dict)
    otel: Mapping[str, str] = field(default_factory=dict)
    events: Registration = Registration.FULL
    status_line: str | None = None
    marketplace: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings. Our variables have a prefix, so Claude Code's own telemetry does not follow them."""
        found: dict[str, Any] = {}
        if env := {**self.labels, **{f"{PREFIX}{name}": value for name, value in self.otel.items()}}:
            found["env"] = env
        if self.marketplace is None:
            found["hooks"] = managed_hooks(self.prefixes, self.events)
        else:
            found["extraKnownMarketplaces"] = {MARKETPLACE: {"source": _source(self.marketplace)}}
            found["enabledPlugins"] = {f"{PLUGIN_NAME}@{MARKETPLACE}": True}
        if self.status_line is not None:
            command = _status_line_command(self.prefixes, self.status_line)
            found[SETTING] = {"type": "command", "command": command, "refreshInterval": REFRESH_SECONDS}
        return found

    def text(self, form: Form) -> str:
        """Return the settings in a form."""
        if form is Form.PLIST:
            return plistlib.dumps(self.settings(), sort_keys=False).decode()
        return json.dumps(self.settings(), indent=2) + "\n"


def managed_registrations(files: Iterable[Path] | None = None) -> list[Path]:
    """Return the organization's settings files here that register our hooks or enable our plugin."""
    found = []
    for path in managed_files() if files is None else files:
        try:
            values = read_managed(path)
        except (OSError, ValueError):
            continue
        if registered_commands(values.get("hooks")) or plugin_enabled(values):
            found.append(path)
    return found


def is_managed() -> bool:
    """Return whether the organization's settings register our hooks here."""
    return bool(managed_registrations())


def _source(marketplace: str) -> dict[str, str]:
    """Return the source of a marketplace (Claude Code's documentation, "Plugin marketplaces")."""
    if marketplace.startswith("/"):
        return {"source": "directory", "path": marketplace}
    if "://" in marketplace or marketplace.startswith("git@"):
        return {"source": "git", "url": marketplace}
    return {"source": "github", "repo": marketplace}


def _status_line_command(prefixes: Sequence[str], text: str) -> str:
    programs = " ".join(shlex.quote(f"{prefix}/bin/claude-hooks-otel") for prefix in prefixes)
    options = f" --format {shlex.quote(text)}" if text else ""
    return f'for program in {programs}; do [ ! -x "$program" ] || exec "$program" statusline{options}; done'
