"""The backend and the source of its key that ``install`` sets up."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from claude_hooks_otel.resource_attributes import resource_attributes
from claude_hooks_otel.settings import ConfigError, CredentialsConfig
from claude_hooks_otel.settings.backends import PREFIX, RESOURCE_ATTRIBUTES, Backend, backend_named

HEADERS: Final = f"{PREFIX}HEADERS"
KEY_SOURCES: Final = "file:PATH, variable:NAME, helper:COMMAND or keyring:SERVICE/USER"
# What is left out when the endpoint is replaced.
NO_CREDENTIALS: Final[Mapping[str, Mapping[str, Any]]] = {
    "credentials": dict.fromkeys(CredentialsConfig.model_fields),
    "monitoring": {"backend": None},
}

Ask = Callable[[str, bool], str]
"""Asks a person for a value: the question, and whether the answer must not be shown."""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """What ``install`` writes for a backend and a key.

    Attributes:
        options: ``OTEL_*`` variables, as options of ``install``.
        tables: keys of other tables of the configuration; None removes one. Empty if nothing was chosen.
    """

    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def choose(
    name: str | None,
    settings: Iterable[str],
    key_from: str | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
    ask: Ask | None,
) -> BackendChoice:
    """Return what the options ask for.

    Args:
        name: the backend; None for an endpoint that the other options name.
        settings: its parameters, each ``NAME=VALUE``.
        key_from: where the key comes from, one of ``KEY_SOURCES``.
        variables: the ``OTEL_*`` variables that would be in effect.
        environ: the environment, for a key from a variable.
        ask: asks for what is missing; None if nobody can answer.

    Raises:
        ConfigError: something is missing or cannot be used.
    """
    if name is None:
        if list(settings):
            raise ConfigError("--set is for the parameters of a backend. Name one with --backend.")
        return BackendChoice() if key_from is None else _with_key(None, {}, key_from, environ)
    backend = backend_named(name)
    values = _values(backend, settings, ask)
    given = HEADERS in variables and key_from is None
    if key_from is None and not given:
        if ask is None:
            raise ConfigError(f"{backend.title} needs {backend.key.is_}. Say where it is: --key-from {KEY_SOURCES}")
        return _named(name, _static(backend, values, ask(f"Key: {backend.key.is_}", True), variables))
    if key_from is None:
        filled = backend.variables(values)
        fixed = filled.pop(HEADERS, "")
        filled[HEADERS] = ",".join(filter(None, (fixed, variables[HEADERS])))
        return _named(name, BackendChoice(_merged(filled, variables), NO_CREDENTIALS))
    return _named(name, _with_key(backend, values, key_from, environ, variables))


def _values(backend: Backend, settings: Iterable[str], ask: Ask | None) -> dict[str, str]:
    values = {}
    for setting in settings:
        parameter, is_set, value = setting.partition("=")
        if not is_set:
            raise ConfigError(f"--set {setting} is not of the form NAME=VALUE")
        values[parameter.strip()] = value.strip()
    for parameter, meaning in backend.parameters.items():
        if ask is not None and not values.get(parameter):
            values[parameter] = ask(f"{parameter}: {meaning}", False).strip()
    return values


def _with_key(
    backend: Backend | None,
    values: Mapping[str, str],
    key_from: str,
    environ: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
) -> BackendChoice:
    kind, _, place = key_from.partition(":")
    if kind == "variable":
        key = environ.get(place, "").strip()
        if not key:
            raise ConfigError(f"--key-from {key_from}: the variable {place} is not set")
        return _static(backend, values, key, variables or {})
    keys = {"file": "token_file", "keyring": "keyring", "helper": "headers_helper"}
    if kind not in keys or not place:
        raise ConfigError(f"--key-from {kind}: use {KEY_SOURCES}")
    if kind == "file":
        place = str(Path(place).expanduser().absolute())
    table: dict[str, Any] = {keys[kind]: place}
    if backend and kind != "helper":
        table |= {"header": backend.key.header, "value": backend.key.value}
    options = _merged(backend.variables(values), variables or {}) if backend else {}
    return BackendChoice(options, {**NO_CREDENTIALS, "credentials": {**NO_CREDENTIALS["credentials"], **table}})


def _static(
    backend: Backend | None, values: Mapping[str, str], key: str, variables: Mapping[str, str]
) -> BackendChoice:
    """Return a choice whose key is a header in the configuration, which only its owner can read."""
    form = backend.key.value if backend else "Bearer {token}"
    header = form.replace("{token}", key).replace("{base64}", base64.b64encode(key.encode()).decode())
    if backend is None:
        return BackendChoice({HEADERS: f"Authorization={quote(header, safe='')}"}, NO_CREDENTIALS)
    return BackendChoice(_merged(backend.variables(values, header), variables), NO_CREDENTIALS)


def _named(name: str, choice: BackendChoice) -> BackendChoice:
    return BackendChoice(choice.options, {**choice.tables, "monitoring": {"backend": name}})


def _merged(options: dict[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the options with the resource attributes that are set already and that they do not set."""
    if RESOURCE_ATTRIBUTES in options and (present := variables.get(RESOURCE_ATTRIBUTES)):
        new = resource_attributes(options[RESOURCE_ATTRIBUTES])
        kept = [entry for entry in present.split(",") if entry.partition("=")[0].strip() not in new]
        options[RESOURCE_ATTRIBUTES] = ",".join([*kept, options[RESOURCE_ATTRIBUTES]])
    return options
