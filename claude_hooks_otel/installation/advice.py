"""What ``install`` tells a person: what keeps the hooks from running, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_hooks_otel.installation.hook_entries import malformed
from claude_hooks_otel.resource_attributes import attribute_labels
from claude_hooks_otel.settings import Config, OtelSettings, Signal, managed_variables

PLUGIN_NAME = "hooks-otel"


def plugin_enabled(settings: Any) -> bool:
    """Return whether a settings object enables the plugin, from any marketplace."""
    enabled = settings.get("enabledPlugins") if isinstance(settings, dict) else None
    return isinstance(enabled, dict) and any(
        key.partition("@")[0] == PLUGIN_NAME and value for key, value in enabled.items()
    )


def warnings(settings: dict[str, Any], *, plugin: bool, is_managed: bool = False) -> Iterator[str]:
    """Return what in a settings object works against the hooks, a sentence or two each.

    Args:
        settings: the settings.
        plugin: whether the plugin registers the hooks.
        is_managed: whether the organization's settings register them.
    """
    if is_managed:
        yield "your organization's managed settings register the hooks, so these settings get none."
    if settings.get("disableAllHooks") and not is_managed:
        yield "disableAllHooks is set in these settings: no hook runs until you remove it."
    if settings.get("allowManagedHooksOnly") and not is_managed:
        yield "allowManagedHooksOnly is set: only hooks in the organization's managed settings run."
    if plugin_enabled(settings) and not plugin:
        yield "the plugin is enabled here, too. Each event counts once, but every hook runs twice."
    env = settings.get("env")
    theirs = sorted(name for name in env if name.startswith("OTEL_EXPORTER_OTLP")) if isinstance(env, dict) else []
    if theirs:
        yield (
            f"these settings set {', '.join(theirs)} for Claude Code's own telemetry, which hooks never see. "
            "Name the endpoint with --endpoint to export there, too."
        )
    if wrong := list(malformed(settings.get("hooks", {}))):
        yield (
            f"Claude Code cannot read {', '.join(wrong)}, and ignores all hooks of this file because of it. Correct it."
        )
    if os.name == "nt":
        yield "on Windows, Claude Code runs hooks with Git Bash. The daemon needs WSL."


def next_steps(config: Config, console: Path, *, plugin: bool, has_history: bool) -> Iterator[str]:
    """Return what to do next.

    Args:
        config: the new configuration.
        console: the file that the exporter ``console`` writes.
        plugin: whether the plugin registers the hooks.
        has_history: whether there are transcripts of earlier sessions.
    """
    if plugin:
        yield "The plugin registers the hooks. Enable it in Claude Code (/plugin)."
    yield "Restart the sessions that are running. Claude Code reads hooks only when a session starts."
    endpoint = any(name.endswith("_ENDPOINT") for name in config.otel)
    exporters = {config.otel.get(f"OTEL_{signal.upper()}_EXPORTER", "") for signal in Signal}
    if not endpoint and exporters <= {"", "none"} and not managed_variables():
        yield "No endpoint is configured. Everything is in the embedded store: see `claude-hooks-otel report`."
    if named := attribute_labels(OtelSettings.from_config(config, {}).resource_attributes):
        listing = ", ".join(f"{label}={value}" for label, value in sorted(named.items()))
        yield (
            f"OTEL_RESOURCE_ATTRIBUTES labels all your sessions with {listing}, unless they set CLAUDE_AGENT_* variables. "
            "For one project, use --scope local with --project and --team instead."
        )
    if any("console" in names for names in exporters):
        yield f"Console export goes to {console}. Follow it with `claude-hooks-otel console --follow`."
    if has_history:
        yield "Run `claude-hooks-otel import` to read the sessions that ran before the installation."
    yield "Run `claude-hooks-otel doctor` to check every step from the hook to the endpoint."
