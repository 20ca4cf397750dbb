"""The organization's settings of Claude Code on this machine: which files they are, and which variables they set for us.

Only an administrator can write them, so a daemon takes variables from them that it takes from no session. Claude Code reads one source:
the profile of a device management, else the files (its documentation, "Managed settings").
"""

from __future__ import annotations

import json
import os
import plistlib
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from claude_hooks_otel.foreign_files import read_regular
from claude_hooks_otel.settings.errors import KEY_PREFIX

# Linux with WSL, and macOS.
FOLDERS: Final = (Path("/etc/claude-code"), Path("/Library/Application Support/ClaudeCode"))
BASE: Final = "managed-settings.json"
# Claude Code merges these over the file, in the order of their names.
PARTS: Final = "managed-settings.d"
PROFILES: Final = Path("/Library/Managed Preferences")
PROFILE: Final = "com.anthropic.claudecode.plist"
# Bytes of a settings file.
_MOST: Final = 4 << 20


def managed_files(folders: Iterable[Path] = FOLDERS, profiles: Path = PROFILES) -> tuple[Path, ...]:
    """Return the files that Claude Code reads here, in the order in which it merges them. Files that do not exist may be among them.

    Args:
        folders: where the files are.
        profiles: where macOS keeps the profiles of a device management.
    """
    own = profiles / pwd.getpwuid(os.geteuid()).pw_name / PROFILE if profiles.is_dir() else profiles
    for profile in (own, profiles / PROFILE):
        if profile.is_file():
            return (profile,)
    return tuple(
        path
        for folder in folders
        for path in (folder / BASE, *(part for part in _listed(folder / PARTS) if not part.name.startswith(".")))
    )


def read_managed(path: Path) -> dict[str, Any]:
    """Return what one of the files says.

    Raises:
        ValueError: it is not JSON, not a property list, or not an object. The message says which.
        OSError: it cannot be read.
    """
    content = read_regular(path, _MOST)
    try:
        values = plistlib.loads(content) if path.suffix == ".plist" else json.loads(content.decode("utf-8-sig"))
    except (ExpatError, plistlib.InvalidFileException):
        raise ValueError("is not a property list") from None
    if not isinstance(values, dict):
        raise ValueError("has to hold an object")  # noqa: TRY004 — the content is wrong, not a type
    return values


def managed_variables(files: Iterable[Path] | None = None) -> dict[str, str]:
    """Return the variables for us in the organization's ``env``: those that begin with ``CLAUDE_HOOKS_OTEL_``.

    A file that cannot be read counts for nothing here; ``doctor`` names it.
    """
    found: dict[str, str] = {}
    for path in managed_files() if files is None else files:
        try:
            env = read_managed(path).get("env")
        except (OSError, ValueError):
            continue
        if isinstance(env, Mapping):
            found |= {
                name: value for name, value in env.items() if name.startswith(KEY_PREFIX) and isinstance(value, str)
            }
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.json"))
    except OSError:
        return []
