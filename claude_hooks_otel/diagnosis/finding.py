"""What a look at one link found, and what all looks share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.advice import plugin_enabled
from claude_hooks_otel.installation.hook_entries import registered_commands
from claude_hooks_otel.installation.settings_file import Scope, path_of
from claude_hooks_otel.settings import Config, ConfigError, load

# Where an organization's settings are (Claude Code's documentation, "Settings files"); they win over all others.
MANAGED_SETTINGS = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row.

    Attributes:
        link: which link of the chain.
        level: ``fail`` where events, or their way out, are cut off.
        observed: what was seen.
        remedy: what to do; empty where nothing is to be done.
    """

    link: str
    level: Level
    observed: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """One settings file of Claude Code.

    Attributes:
        name: ``managed``, ``user``, ``project`` or ``local``.
        path: the file.
        values: its content; empty where there is none, or where it cannot be used.
        problem: why it cannot be used.
    """

    name: str
    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def read(cls, name: str, path: Path) -> Settings:
        """The file as Claude Code would take it."""
        try:
            text = path.read_text(encoding="utf-8-sig")
            values = json.loads(text) if text.strip() else {}
        except FileNotFoundError:
            return cls(name, path)
        except OSError as error:
            return cls(name, path, problem=error.strerror or "it cannot be read")
        except ValueError as error:
            return cls(name, path, problem=f"not valid JSON ({error})")
        return cls(name, path, values) if isinstance(values, dict) else cls(name, path, problem="not a JSON object")

    @property
    def commands(self) -> dict[str, list[str]]:
        """Our commands, by event."""
        return registered_commands(self.values.get("hooks"))

    @property
    def enables_plugin(self) -> bool:
        """Whether our plugin is enabled in this file."""
        return plugin_enabled(self.values)

    @property
    def env(self) -> Mapping[str, Any]:
        """The variables that it sets."""
        env = self.values.get("env")
        return env if isinstance(env, dict) else {}


@dataclass(frozen=True)
class Surroundings:
    """What is looked at.

    Args:
        environ: this process's environment.
        directory: the folder whose project and local settings count.
        managed: where the organization's settings may be.
        prometheus_url: the Prometheus to ask, before the configuration's.
    """

    environ: Mapping[str, str]
    directory: Path
    managed: tuple[Path, ...] = MANAGED_SETTINGS
    prometheus_url: str | None = None

    @cached_property
    def settings(self) -> list[Settings]:
        """The settings files; a later one wins over an earlier one."""
        paths = [(scope.value, path_of(scope, self.environ, self.directory)) for scope in Scope]
        own = {
            path.resolve(): Settings.read(name, path) for name, path in reversed(paths)
        }  # at home, project and user are one
        return [*reversed(own.values()), *(Settings.read("managed", path) for path in self.managed)]

    def setting(self, name: str) -> Any:
        """The value that is in effect."""
        return next((settings.values[name] for settings in reversed(self.settings) if name in settings.values), None)

    @cached_property
    def home(self) -> Home:
        """The home that sessions use: as the settings name it, else as this process does."""
        named = [settings.env[HOME_VARIABLE] for settings in self.settings if settings.env.get(HOME_VARIABLE)]
        return Home(Path(named[-1])) if named and isinstance(named[-1], str) else Home.from_environment(self.environ)

    @cached_property
    def hook_environ(self) -> dict[str, str]:
        """The environment as the daemon gets it: Claude Code removes the standard variables."""
        return {name: value for name, value in self.environ.items() if not name.startswith("OTEL_")}

    @cached_property
    def config(self) -> Config | ConfigError:
        """The configuration, or why it cannot be used."""
        try:
            return load(self.home.config, self.hook_environ)
        except ConfigError as error:
            return error


Look = Callable[[Surroundings], Iterator[Finding]]


def look_at_everything(looks: Iterable[Look], surroundings: Surroundings) -> Iterator[Finding]:
    """All findings, in the order of the chain. A look that fails itself is a finding, too."""
    for look in looks:
        try:
            yield from look(surroundings)
        except Exception as error:
            name = look.__name__.replace("_", " ")
            yield Finding(
                name, Level.FAIL, f"could not be looked at: {type(error).__name__}: {error}", "Please report this."
            )
