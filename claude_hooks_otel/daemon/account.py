"""The account of Claude Code, for owners who want it in their telemetry (``[capture] account``)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from claude_hooks_otel.settings import CaptureConfig
from claude_hooks_otel.sources.client_account import read_account


def account(capture: CaptureConfig, folder: Path) -> str | None:
    """Return the UUID of the account, or its SHA-256 in hexadecimal digits, as the owner chose; None if they chose nothing.

    The client notes the account of a login in ``.claude.json``. A user with an API key has none.

    Args:
        capture: what may leave the machine.
        folder: the user's home folder.
    """
    if capture.account == "none":
        return None
    found = read_account(folder).get("accountUuid")
    if found is None:
        return None
    return hashlib.sha256(found.encode()).hexdigest() if capture.account == "hashed" else found
