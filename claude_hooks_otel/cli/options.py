"""Options that ``install`` and ``uninstall`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.installation.hook_entries import check_shape
from claude_hooks_otel.installation.settings_file import Scope, SettingsError, SettingsFile

ScopeOption = Annotated[
    Scope,
    typer.Option(
        help="user: all your sessions. project: everybody's sessions in this folder. local: yours in this folder."
    ),
]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="Change this settings file instead of a scope's.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, but change nothing.")]


def open_settings(path: Path) -> SettingsFile:
    """Open a settings file whose hooks and variables can be changed.

    Raises:
        SettingsError: it cannot be used. The message names the file.
    """
    file = SettingsFile(path)
    try:
        check_shape(file.document)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return file
