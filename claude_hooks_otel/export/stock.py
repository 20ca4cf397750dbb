"""OpenTelemetry's own exporters, as the variables in effect ask for them: which, and built how."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from claude_hooks_otel.export.exporter_logs import caught_logs
from claude_hooks_otel.export.otlp import Answer, OtlpSettings, variable
from claude_hooks_otel.export.redaction import Redactor
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.settings.config import ConfigError

SUPPORTED = ("otlp", "console", "none")

# The stock exporters get these two as arguments: they read the timeout in seconds, and gRPC's knows no compression "none".
_GIVEN_AS_ARGUMENTS = ("_TIMEOUT", "_COMPRESSION")

_environment_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StockOtlp:
    """A stock OTLP exporter with what it does not tell itself.

    Attributes:
        exporter: OpenTelemetry's, of the signal it was built for.
        answer: what the receiver said to the last attempt.
        description: one line for people; may hold secrets.
        warnings: what in its configuration is ignored, a sentence each; may hold secrets.
    """

    exporter: Any
    answer: Answer
    description: str
    warnings: tuple[str, ...]


def exporter_names(environment: Mapping[str, str], signal: Signal) -> list[str]:
    """The names in ``OTEL_<signal>_EXPORTER``, each once; where it is unset, an OTLP endpoint means ``otlp``.

    Raises:
        ConfigError: a name is not known, or ``none`` does not stand alone.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named_by = f"OTEL_{signal.upper()}_EXPORTER"
    text = environment.get(named_by, "")
    names = list(dict.fromkeys(filter(None, (part.strip().lower() for part in text.split(",")))))
    if not names:
        return ["otlp"] if variable(environment, "ENDPOINT", signal) else []
    if unknown := [name for name in names if name not in SUPPORTED]:
        raise ConfigError(f"{named_by}={text}: {', '.join(unknown)} is not known; use {', '.join(SUPPORTED)}")
    if names == ["none"]:
        return []
    if "none" in names:
        raise ConfigError(f"{named_by}={text}: none stands alone, or name the others without it")
    return names


def is_requested(environment: Mapping[str, str], signal: Signal) -> bool:
    """Whether somebody asks for this very signal, and does not just name an endpoint for all."""
    named_by = (f"OTEL_{signal.upper()}_EXPORTER", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(environment.get(name, "").strip() for name in named_by)


def build_otlp(environment: Mapping[str, str], signal: Signal, redact: Redactor) -> StockOtlp:
    """The stock OTLP exporter of the chosen protocol; the other one's packages are not even imported.

    Raises:
        ConfigError: the protocol is not supported, or a setting can not be used.
    """
    settings = OtlpSettings.from_environment(environment, signal)
    answer = Answer()
    try:
        with caught_logs() as records, _process_environment(environment):
            if settings.protocol == "grpc":
                from claude_hooks_otel.export import otlp_grpc  # noqa: PLC0415 -- 16 MiB that HTTP does not need

                exporter = otlp_grpc.exporter(settings, answer, environment, signal)
            else:
                from claude_hooks_otel.export import otlp_http  # noqa: PLC0415

                exporter = otlp_http.exporter(settings, answer, environment, signal)
    except Exception as error:
        raise ConfigError(redact(f"the OTLP exporter can not be built: {type(error).__name__}: {error}")) from None
    warnings = (*settings.warnings, *(record.getMessage() for record in records))
    return StockOtlp(exporter, answer, settings.describe(), warnings)


@contextmanager
def _process_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Makes the process's ``OTEL_*`` variables those of ``environment``: the exporters read them when they are built."""
    wanted = {name: value for name, value in environment.items() if value and not name.endswith(_GIVEN_AS_ARGUMENTS)}
    with _environment_lock:
        before = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        try:
            _replace_variables(before, wanted)
            yield
        finally:
            _replace_variables(wanted, before)


def _replace_variables(present: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name in present.keys() - wanted.keys():
        os.environ.pop(name, None)
    os.environ.update(wanted)
