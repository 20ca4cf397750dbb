"""Telemetry for Claude Code agents: hook events, transcripts and program records in, OpenTelemetry out.

Data moves one way, and so do the imports: each room imports only itself and the rooms after it in ``ROOMS``.
``docs/architecture.md`` tells what each room is for. This module imports nothing, because the status line imports it many times a minute.
"""

from __future__ import annotations

__version__ = "0.1.0"

ROOMS: tuple[str, ...] = (
    "cli",
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
)
"""The rooms of the package, from the top to the bottom."""
