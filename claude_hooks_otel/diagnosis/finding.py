"""What a check of one step found, and what all checks share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.advice import plugin_enabled
from claude_hooks_otel.installation.hook_entries import malformed, registered_as, registered_commands
from claude_hooks_otel.installation.settings_file import Scope, SettingsFile, UnreadableSettingsError, path_of
from claude_hooks_otel.settings import Config, ConfigError, load, managed_files, read_managed
from claude_hooks_otel.sources.registration import SHARED_EMIT, Registration, prefixes_of

INSTALL = "Run `claude-hooks-otel install`."
ADMINISTRATOR = "Ask your administrator to write the managed settings again, with `claude-hooks-otel managed-settings`."


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of what `doctor` prints.

    Attributes:
        step: the step between a session and the endpoint.
        level: ``fail`` if events or exports cannot get through.
        observed: what the check saw.
        remedy: what to do. Empty if there is nothing to do.
    """

    step: str
    level: Level
    observed: str
    remedy: str = ""


def ok(step: str, observed: str) -> Finding:
    """Return a finding of a step that works."""
    return Finding(step, Level.OK, observed)


def info(step: str, observed: str, remedy: str) -> Finding:
    """Return a finding that needs no correction."""
    return Finding(step, Level.INFO, observed, remedy)


def warn(step: str, observed: str, remedy: str) -> Finding:
    """Return a finding of a step that works, but not as it should."""
    return Finding(step, Level.WARN, observed, remedy)


def fail(step: str, observed: str, remedy: str) -> Finding:
    """Return a finding of a broken step."""
    return Finding(step, Level.FAIL, observed, remedy)


@dataclass(frozen=True, slots=True)
class Settings:
    """One settings file of Claude Code.

    Attributes:
        name: ``managed``, ``user``, ``project`` or ``local``.
        path: the file.
        values: its content. Empty if there is no file, or if Claude Code cannot use it.
        problem: why Claude Code cannot use it, such as ``is not valid JSON (...)``.
    """

    name: str
    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def read(cls, name: str, path: Path) -> Settings:
        """Return the file as Claude Code reads it."""
        try:
            if path.suffix == ".plist":
                return cls(name, path, read_managed(path))
            return cls(name, path, SettingsFile(path).document.value)
        except (OSError, ValueError) as error:
            return cls(name, path, problem=str(error))
        except UnreadableSettingsError as error:
            return cls(name, path, problem=error.reason)

    @property
    def commands(self) -> dict[str, list[str]]:
        """Our hook commands, by event."""
        return registered_commands(self.values.get("hooks"))

    @property
    def registration(self) -> Registration:
        """Which events our commands register."""
        return registered_as(self.values.get("hooks"))

    @property
    def unreadable_hooks(self) -> list[str]:
        """The entries of ``hooks`` that Claude Code cannot read. It ignores all hooks of the file because of them."""
        return list(malformed(self.values.get("hooks", {})))

    @property
    def enables_plugin(self) -> bool:
        """Whether this file enables our plugin."""
        return plugin_enabled(self.values)

    @property
    def env(self) -> Mapping[str, Any]:
        """The environment variables that the file sets."""
        env = self.values.get("env")
        return env if isinstance(env, dict) else {}


@dataclass(frozen=True)
class Surroundings:
    """What the checks look at.

    Args:
        environ: this process's environment.
        directory: the folder whose project and local settings apply.
        managed: the paths where the organization's settings may be.
        prometheus_url: the Prometheus to ask, instead of the configuration's.
    """

    environ: Mapping[str, str]
    directory: Path
    managed: tuple[Path, ...] = field(default_factory=managed_files)
    prometheus_url: str | None = None

    @cached_property
    def settings(self) -> list[Settings]:
        """The settings files. A later one overrides an earlier one."""
        paths = [(scope.value, path_of(scope, self.environ, self.directory)) for scope in Scope]
        own = {
            path.resolve(): Settings.read(name, path) for name, path in reversed(paths)
        }  # in the home folder, the project's file and the user's are the same
        return [*reversed(own.values()), *(Settings.read("managed", path) for path in self.managed)]

    def setting(self, name: str) -> Any:
        """Return the value that is in effect."""
        return next((settings.values[name] for settings in reversed(self.settings) if name in settings.values), None)

    @cached_property
    def home(self) -> Home:
        """The home that sessions use: the one that the settings name, else the one of this process."""
        return Home.from_environment(self.session_environ)

    @cached_property
    def session_environ(self) -> dict[str, str]:
        """The environment of a session here: this process's, with the variables of the settings."""
        named = [settings.env[HOME_VARIABLE] for settings in self.settings if settings.env.get(HOME_VARIABLE)]
        is_named = named and isinstance(named[-1], str)
        return {**self.environ, HOME_VARIABLE: named[-1]} if is_named else dict(self.environ)

    @cached_property
    def usual_home(self) -> Home:
        """The home with the registered ``emit``: the usual one. Without HOME, it is the only one."""
        return Home.usual(self.environ) or self.home

    @cached_property
    def config(self) -> Config | ConfigError:
        """The configuration, or why it cannot be used."""
        try:
            return load(self.home.config, {})
        except ConfigError as error:
            return error

    @cached_property
    def managed_hooks(self) -> list[Settings]:
        """The organization's settings that register our hooks, or enable our plugin. No user can change them."""
        return [each for each in self.settings if each.name == "managed" and (each.commands or each.enables_plugin)]

    @cached_property
    def disables_hooks(self) -> bool:
        """Whether ``disableAllHooks`` keeps our hooks from running. Only the organization's own switch stops its hooks."""
        registering = [each for each in self.settings if each.commands or each.enables_plugin]
        if any(each.name == "managed" for each in registering):
            return any(each.values.get("disableAllHooks") for each in self.settings if each.name == "managed")
        return bool(self.setting("disableAllHooks"))

    @cached_property
    def managed_prefix(self) -> Path | None:
        """The Python environment whose ``emit`` the organization's hooks run; None if they run the one in the usual home, or there are none."""
        prefixes = [
            Path(prefix)
            for settings in self.managed_hooks
            for commands in settings.commands.values()
            for command in commands
            for prefix in prefixes_of(command) or ()
        ]
        return next((prefix for prefix in prefixes if os.access(prefix / SHARED_EMIT, os.R_OK)), None)

    @cached_property
    def managed_program(self) -> Path | None:
        """The command with which the organization's hooks start the daemon; None if the environment has none."""
        program = self.managed_prefix and self.managed_prefix / "bin" / "claude-hooks-otel"
        return program if program and os.access(program, os.X_OK) else None

    @cached_property
    def install_remedy(self) -> str:
        """How to install what is missing: with the plugin enabled, it registers the hooks."""
        registers = any(settings.commands for settings in self.settings)
        has_plugin = any(settings.enables_plugin for settings in self.settings)
        return "Run `claude-hooks-otel install --plugin`." if has_plugin and not registers else INSTALL

    @cached_property
    def next_start(self) -> str:
        """What starts a daemon that does not run, or why nothing does, to be read after "not running"."""
        working = [settings for settings in self.settings if settings.commands and not settings.unreadable_hooks]
        if not working and not any(settings.enables_plugin for settings in self.settings):
            return f"no hooks are registered, so no session starts it. {self.install_remedy}"
        if self.disables_hooks:
            return "disableAllHooks is set, so no session starts it"
        if not self.home.is_trusted(self.environ):
            return f"hooks start none in a home that no install has recorded. {INSTALL}"
        on_path = shutil.which("claude-hooks-otel", path=self.environ.get("PATH"))
        if not (self.home.interpreter.is_file() or on_path or self.managed_program):
            return f"hooks do not find the package, so no session starts it. {self.install_remedy}"
        return "the next session starts it"


Check = Callable[[Surroundings], Iterator[Finding]]


def run_checks(checks: Iterable[Check], surroundings: Surroundings) -> Iterator[Finding]:
    """Return all findings, in the order of the steps. A check that raises is a finding, too."""
    for check in checks:
        try:
            yield from check(surroundings)
        except Exception as error:
            name = check.__name__.replace("_", " ")
            yield fail(name, f"this check failed: {type(error).__name__}: {error}", "Please report this as a bug.")
