"""Telemetry for Claude Code agents: hook events, transcripts and program records in, OpenTelemetry out.

Data moves one way, and so do the imports: each room imports only itself and the rooms after it in ``ROOMS``.
``docs/architecture.md`` tells what each room is for. This module imports nothing, because the status line imports it many times a minute.
"""

from __future__ import annotations

ROOMS: tuple[str, ...] = (
    "cli",
    "web",
    "report",
    "diagnosis",
    "installation",
    "daemon",
    "sdk",
    "delivery",
    "export",
    "traces",
    "series",
    "facts",
    "tool_effects",
    "store",
    "sources",
    "metrics",
    "home",
    "settings",
    "foreign_files",
    "resource_attributes",
    "timeline",
    "units",
    "formats",
)
"""The rooms of the package, from the top to the bottom."""


def __getattr__(name: str) -> str:
    """Return ``__version__``: the version of the installed package. It stands only in ``.claude-plugin/plugin.json``."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 -- only for those who ask

    return version("claude-hooks-otel")
