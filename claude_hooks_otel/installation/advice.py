"""What a person should know after an installation: what may keep the hooks from running, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from claude_hooks_otel.settings import Config, Signal

PLUGIN_NAME = "hooks-otel"


def plugin_enabled(settings: Any) -> bool:
    """Whether a settings object enables the plugin, from whatever marketplace."""
    enabled = settings.get("enabledPlugins") if isinstance(settings, dict) else None
    return isinstance(enabled, dict) and any(
        key.partition("@")[0] == PLUGIN_NAME and value for key, value in enabled.items()
    )


def warnings(settings: dict[str, Any], *, plugin: bool) -> Iterator[str]:
    """What in a settings object works against the hooks, a sentence or two each."""
    if settings.get("disableAllHooks"):
        yield "disableAllHooks is set in these settings: no hook runs until it is removed."
    if settings.get("allowManagedHooksOnly"):
        yield "allowManagedHooksOnly is set: only hooks in the organization's managed settings run."
    if plugin_enabled(settings) and not plugin:
        yield "the plugin is enabled here, too. That is harmless (each event is counted once) but runs every hook twice."
    env = settings.get("env")
    theirs = sorted(name for name in env if name.startswith("OTEL_EXPORTER_OTLP")) if isinstance(env, dict) else []
    if theirs:
        yield (
            f"these settings set {', '.join(theirs)} for Claude Code's own telemetry, which hooks never see: "
            "name the endpoint with --endpoint to export there, too."
        )
    if os.name == "nt":
        yield "Claude Code runs hooks on Windows by Git Bash; the daemon needs WSL."


def next_steps(config: Config, *, plugin: bool) -> Iterator[str]:
    """What to do now."""
    if plugin:
        yield "Hooks are left to the plugin: it has to be enabled in Claude Code (/plugin)."
    yield "Restart the sessions that are running: they took up their hooks when they began."
    endpoint = any(name.endswith("_ENDPOINT") for name in config.otel)
    exporters = {config.otel.get(f"OTEL_{signal.upper()}_EXPORTER", "") for signal in Signal}
    if not endpoint and exporters <= {"", "none"}:
        yield "No endpoint is configured: the embedded store serves (`claude-hooks-otel report`)."
    yield "`claude-hooks-otel doctor` looks at every link of the chain."
