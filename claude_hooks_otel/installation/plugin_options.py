"""The token of the plugin's options. The client gives it to hooks only, and a hook leaves it in the usual home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from claude_hooks_otel.foreign_files import read_regular
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import load

HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_MOST_BYTES: Final = 10_000


def token_headers(home: Home, otel: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that sends the token, if there is one and no other headers are set.

    A project can set the variables of a session, so the token may not be the owner's. It replaces no headers, and a token alone
    sends nothing anywhere.

    Args:
        home: the home that is installed.
        otel: the ``OTEL_*`` variables of the shell.

    Raises:
        ConfigError: the present configuration cannot be used.
    """
    try:
        token = read_regular(home.plugin_token, _MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return {}
    config = load(home.config, {})
    if not token or HEADERS in otel or HEADERS in config.otel or config.credentials.is_set:
        return {}
    return {HEADERS: f"Authorization={quote(f'Bearer {token}')}"}
