"""Which custom exporters there are, and how one is made: ``[exporters.NAME]`` in the configuration.

``class = "package.module:Class"`` names it; without that, NAME is looked up among the entry points of the group
``claude_hooks_otel.exporters``. An entry point alone starts nothing: its owner's table, even an empty one, turns it on.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.settings import ConfigError, Redactor
from claude_hooks_otel.settings.redaction import MASK

GROUP = "claude_hooks_otel.exporters"

# An option of such a name is a secret, whatever its value looks like.
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|dsn|conninfo|url|auth", re.IGNORECASE)
_PASSWORD_IN_TEXT = re.compile(r"(?i)(password\s*=\s*)('[^']*'|\S+)")
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:([^@\s]+)@")
_SHORTEST_SECRET = 4  # characters; masking less would make any message unreadable


class OptionRedactor:
    """Masks in any text what an exporter's options hold of secrets."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._general = Redactor()
        found: set[str] = set()
        for name, value in options.items():
            text = str(value)
            if _SECRET_NAME.search(name) and len(text) >= _SHORTEST_SECRET:
                found.add(text)
            found.update(match[2].strip("'") for match in _PASSWORD_IN_TEXT.finditer(text))
            found.update(match[1] for match in _PASSWORD_IN_URL.finditer(text))
        self._secrets = sorted((secret for secret in found if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text on one line, without secrets, cut to a readable length."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return self._general(_PASSWORD_IN_TEXT.sub(rf"\1{MASK}", text))


def build(name: str, table: Mapping[str, Any]) -> CustomExporter:
    """Makes the exporter that a configuration table describes.

    Raises:
        ConfigError: it is not there, is no exporter, or does not take the options; no secret is in the message.
    """
    options = {key: value for key, value in table.items() if key != "class"}
    hide = OptionRedactor(options)
    found = _find(name, table.get("class"))
    if not (isinstance(found, type) and issubclass(found, CustomExporter)):
        raise ConfigError(
            f"[exporters.{name}]: a class derived from claude_monitoring.exporters.CustomExporter is expected"
        )
    try:
        return found(**options)
    except Exception as error:
        raise ConfigError(f"[exporters.{name}]: {found.__name__} cannot be made: {hide(str(error))}") from None


def _find(name: str, path: object) -> Any:
    if path is None:
        for point in entry_points(group=GROUP):
            if point.name == name:
                return _loaded(name, point.load)
        known = ", ".join(sorted({point.name for point in entry_points(group=GROUP)})) or "none"
        raise ConfigError(
            f'[exporters.{name}]: no exporter of this name is installed (installed: {known}); give class = "module:Class"'
        )
    module, separator, attribute = str(path).partition(":")
    if not separator or not module or not attribute:
        raise ConfigError(f'[exporters.{name}]: class: "module:Class" is expected, not {str(path)!r}')
    return _loaded(name, lambda: getattr(importlib.import_module(module), attribute))


def _loaded(name: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:
        raise ConfigError(f"[exporters.{name}]: cannot be loaded: {type(error).__name__}: {error}") from None
