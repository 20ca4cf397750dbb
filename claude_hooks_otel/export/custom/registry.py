"""Makes custom exporters from the tables ``[exporters.NAME]`` of the configuration.

``class = "package.module:Class"`` names the class. Without it, NAME is an entry point of the group ``claude_hooks_otel.exporters``.
An entry point alone starts nothing. A table starts its exporter, even if the table is empty.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.settings import ConfigError, Redactor
from claude_hooks_otel.settings.redaction import MASK

GROUP = "claude_hooks_otel.exporters"

# The value of an option is a secret if the option's name contains one of these words.
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|dsn|conninfo|url|auth", re.IGNORECASE)
_PASSWORD_IN_TEXT = re.compile(r"(?i)(password\s*=\s*)('[^']*'|\S+)")
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:([^@\s]+)@")


class OptionRedactor:
    """Masks the secrets of an exporter's options in any text."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        found: set[str] = set()
        for name, value in options.items():
            text = str(value)
            if _SECRET_NAME.search(name):
                found.add(text)
            found.update(match[2].strip("'") for match in _PASSWORD_IN_TEXT.finditer(text))
            found.update(match[1] for match in _PASSWORD_IN_URL.finditer(text))
        self._redact = Redactor(found)

    def __call__(self, text: str) -> str:
        """Return the text on one line, without secrets, cut to a readable length."""
        return self._redact(_PASSWORD_IN_TEXT.sub(rf"\1{MASK}", text))


def build(name: str, table: Mapping[str, Any]) -> CustomExporter:
    """Return the exporter that a configuration table describes.

    Args:
        name: the table's name.
        table: the class and the options.

    Raises:
        ConfigError: the class does not exist, is not an exporter, or does not take the options. The message contains no secret.
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
    except (Exception, SystemExit) as error:
        raise ConfigError(f"[exporters.{name}]: {found.__name__} cannot be made: {hide(str(error))}") from None


def _find(name: str, path: object) -> Any:
    points = {point.name: point for point in sorted(entry_points(group=GROUP), key=_is_ours)}
    module, _, attribute = str(path).partition(":")
    if path is None and name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ConfigError(
            f'[exporters.{name}]: no exporter of this name is installed (installed: {known}); give class = "module:Class"'
        )
    if path is not None and not (module and attribute):
        raise ConfigError(f'[exporters.{name}]: class: "module:Class" is expected, not {str(path)!r}')
    try:
        return points[name].load() if path is None else getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"[exporters.{name}]: cannot be loaded: {type(error).__name__}: {error}") from None


def _is_ours(point: EntryPoint) -> bool:
    """Return whether an entry point leads into this package. Another package must not take over a name, with its secret options."""
    return point.module.partition(".")[0] == __name__.partition(".")[0]
