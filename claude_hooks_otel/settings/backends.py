"""Backends that take OTLP: what each of them needs, and what its errors mean. The data is in ``backends.toml``."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict

from claude_hooks_otel.settings.errors import ConfigError
from claude_hooks_otel.settings.otlp import Protocol, Temporality
from claude_hooks_otel.settings.signals import Signal

PREFIX: Final = "OTEL_EXPORTER_OTLP_"
TEMPORALITY: Final = f"{PREFIX}METRICS_TEMPORALITY_PREFERENCE"
RESOURCE_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"
# A value becomes a part of an address or a header.
_VALUE: Final = re.compile(r"[^\s/?#@,;=\\{}]+")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(_Row):
    """What a page says about a backend.

    Attributes:
        about: ``endpoint``, ``protocol``, ``headers``, ``temporality``, ``signals`` or ``limits``.
        says: the fact, in Markdown.
        source: the address of the page; empty if the fact is unverified.
        date: when it was read there.
    """

    about: str
    says: str
    source: str
    date: dt.date


class KnownError(_Row):
    """A typical error of a backend.

    Attributes:
        match: a regular expression for an error of an export.
        means: why, and what to do.
        source: the page that says so; empty if none was found.
        date: when it was read there.
    """

    match: str
    means: str
    source: str
    date: dt.date


class Key(_Row):
    """The header that carries the key: its name, its value as in ``CredentialsConfig``, and what the key is."""

    header: str
    value: str
    is_: str

    def __init__(self, **data: str) -> None:
        super().__init__(**{"is_" if name == "is" else name: value for name, value in data.items()})


class Backend(_Row):
    """One backend, as ``backends.toml`` describes it.

    Attributes:
        title: its name for people.
        hosts: the names of its hosts, with ``*`` for any part.
        endpoint: the base of its address; empty if each signal has its own.
        endpoints: a signal → its whole address.
        protocol: how to send.
        temporality: which one to send.
        needs_temporality: whether it takes no other.
        signals: what it takes.
        compression: what to use, if it matters.
        parameters: what the user gives: a name → an explanation.
        key: the header with the key.
        headers: other headers, for all signals.
        metrics_headers: headers for metrics only.
        resource_attributes: what the resource needs, as in ``OTEL_RESOURCE_ATTRIBUTES``.
        notes: what else there is to know, in Markdown.
        facts: where all this comes from.
        errors: typical errors. The first that matches counts.
    """

    title: str
    hosts: tuple[str, ...]
    endpoint: str = ""
    endpoints: dict[Signal, str] = {}
    protocol: Protocol
    temporality: Temporality
    needs_temporality: bool = False
    signals: tuple[Signal, ...]
    compression: str = ""
    parameters: dict[str, str] = {}
    key: Key
    headers: dict[str, str] = {}
    metrics_headers: dict[str, str] = {}
    resource_attributes: str = ""
    notes: str = ""
    facts: tuple[Fact, ...]
    errors: tuple[KnownError, ...]

    def variables(self, values: Mapping[str, str], key_header: str = "") -> dict[str, str]:
        """Return the ``OTEL_*`` variables for this backend.

        Args:
            values: a value for each parameter.
            key_header: the value of the header with the key; empty if it comes from elsewhere.

        Raises:
            ConfigError: a value is missing, unknown or cannot be a part of an address.
        """
        self._check(values)
        headers = {name: _filled(text, values) for name, text in self.headers.items()}
        if key_header:
            headers[self.key.header] = key_header
        found = {f"{PREFIX}ENDPOINT": _filled(self.endpoint, values)} if self.endpoint else {}
        for signal, address in self.endpoints.items():
            found[f"{PREFIX}{signal.upper()}_ENDPOINT"] = _filled(address, values)
        found |= {f"{PREFIX}PROTOCOL": self.protocol, TEMPORALITY: self.temporality}
        found |= {f"{PREFIX}COMPRESSION": self.compression} if self.compression else {}
        found |= {f"OTEL_{signal.upper()}_EXPORTER": "otlp" if signal in self.signals else "none" for signal in Signal}
        found |= {f"{PREFIX}HEADERS": _header_list(headers)} if headers else {}
        if self.metrics_headers:
            own = {name: _filled(text, values) for name, text in self.metrics_headers.items()}
            found[f"{PREFIX}METRICS_HEADERS"] = _header_list(headers | own)
        if self.resource_attributes:
            found[RESOURCE_ATTRIBUTES] = _filled(self.resource_attributes, values)
        return found

    def explain(self, error: str) -> str:
        """Return what a typical error means and what to do; empty for any other."""
        return next((known.means for known in self.errors if re.search(known.match, error)), "")

    def owns(self, address: str) -> bool:
        """Return whether an address, a URL or ``host:port``, is this backend's."""
        host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
        return any(fnmatchcase(host, pattern) for pattern in self.hosts)

    def _check(self, values: Mapping[str, str]) -> None:
        wanted = "; ".join(f"{name}: {help_}" for name, help_ in self.parameters.items()) or "none"
        if unknown := sorted(values.keys() - self.parameters.keys()):
            raise ConfigError(f"{self.title} has no parameter {', '.join(unknown)}. Its parameters: {wanted}")
        if missing := [name for name in self.parameters if not values.get(name)]:
            raise ConfigError(f"{self.title} needs a value for {', '.join(missing)}. Its parameters: {wanted}")
        for name, value in values.items():
            if not _VALUE.fullmatch(value):
                raise ConfigError(f"the value of {name} cannot be a part of an address. It is {self.parameters[name]}")


@cache
def backends() -> Mapping[str, Backend]:
    """Return a name → its backend, in the order of the file."""
    with (files(__package__) / "backends.toml").open("rb") as file:
        return {name: Backend(**values) for name, values in tomllib.load(file).items()}


def backend_named(name: str) -> Backend:
    """Return a backend.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in backends():
        raise ConfigError(f"the backend {name} is not known; known are {', '.join(backends())}")
    return backends()[name]


def backend_of(address: str) -> Backend | None:
    """Return the backend that an address belongs to; None if it can be any."""
    return next((backend for backend in backends().values() if backend.owns(address)), None)


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _header_list(headers: Mapping[str, str]) -> str:
    """Return headers as a variable holds them: names and values in percent-encoding."""
    return ",".join(f"{name}={quote(value, safe='')}" for name, value in headers.items())
