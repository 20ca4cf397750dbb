"""The account of Claude Code, for owners who want it in their telemetry (``[capture] account``)."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Final

from claude_hooks_otel.foreign_files import read_regular
from claude_hooks_otel.settings import CaptureConfig

# Bytes of the client's file that are read. It keeps something of every project.
_MOST_BYTES: Final = 64_000_000


def account(capture: CaptureConfig, folder: Path) -> str | None:
    """Return the UUID of the account, or its SHA-256 in hexadecimal digits, as the owner chose; None if they chose nothing.

    The client notes the account of a login in ``.claude.json``. A user with an API key has none.

    Args:
        capture: what may leave the machine.
        folder: the user's home folder.
    """
    if capture.account == "none":
        return None
    try:
        noted = json.loads(read_regular(folder / ".claude.json", _MOST_BYTES))["oauthAccount"]["accountUuid"]
        found = str(uuid.UUID(noted))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return hashlib.sha256(found.encode()).hexdigest() if capture.account == "hashed" else found
