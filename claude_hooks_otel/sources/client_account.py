"""The account that the client has noted in its ``.claude.json``. A client that uses an API key notes none."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from claude_hooks_otel.foreign_files import read_regular

# Bytes of the client's file that are read. It keeps something of every project.
_MOST_BYTES: Final = 64_000_000
_IDS: Final = ("accountUuid", "organizationUuid")


def read_account(folder: Path) -> dict[str, str]:
    """Return the UUIDs ``accountUuid`` and ``organizationUuid`` of the login, as far as they are noted and valid.

    Args:
        folder: the user's home folder.
    """
    found: dict[str, str] = {}
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        noted = json.loads(read_regular(folder / ".claude.json", _MOST_BYTES))["oauthAccount"]
        for name in _IDS:
            with suppress(ValueError, LookupError, TypeError, AttributeError):
                found[name] = str(uuid.UUID(noted[name]))
    return found
