"""What OpenTelemetry's variables say about the OTLP exporter of one signal.

Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter" and "Environment Variable Specification".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from claude_hooks_otel.settings.errors import ConfigError
from claude_hooks_otel.settings.redaction import Redactor, secrets_in
from claude_hooks_otel.settings.signals import Signal

Protocol = Literal["grpc", "http/protobuf"]
Temporality = Literal["cumulative", "delta"]

DEFAULT_GRPC_ENDPOINT = "http://localhost:4317"
DEFAULT_HTTP_ENDPOINT = "http://localhost:4318"
HTTP_PORT = 4318  # the port registered for OTLP over HTTP; 4317 is gRPC's

DEFAULT_TIMEOUT_MS = 10_000
NO_LIMIT_MS = 2**31 - 1  # the specification's own stand-in for "no limit"
# No request fits into less than this. Such a value is probably meant in seconds.
SHORT_TIMEOUT_MS = 100

_COMPRESSIONS: Mapping[Protocol, tuple[str, ...]] = {
    "grpc": ("none", "gzip"),
    "http/protobuf": ("none", "gzip", "deflate"),
}
# What each preference means for synchronous counters and histograms, which ours are (specification, OTLP metrics exporter).
# "lowmemory" differs from "delta" for asynchronous counters only.
_TEMPORALITIES: Mapping[str, Temporality] = {"cumulative": "cumulative", "delta": "delta", "lowmemory": "delta"}
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_HISTOGRAMS = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_EXPLICIT_BUCKETS = "explicit_bucket_histogram"
_GENERAL_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SIGNAL_PATH = re.compile(r"/v1/(metrics|traces|logs)/?$")
# name=value, as opentelemetry.util.re reads it: printable ASCII without separators. A value with a space is not percent-encoded.
_HEADER = re.compile(r"([!#-'*+\-.0-9A-Z^-z|~]+)[ \t]*=[ \t]*([ !#-+\--:<-\[\]-~]*)")


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How the OTLP exporter of a signal sends.

    Attributes:
        protocol: the transport.
        endpoint: the whole URL for HTTP; ``host:port`` or another gRPC target for gRPC.
        secure: whether TLS is used.
        timeout_s: seconds that one export may take, its retries included.
        compression: ``none``, ``gzip`` or ``deflate``.
        headers: sent with each request, by lower-case name.
        certificate: path of the authority's certificate; None for the machine's authorities.
        client_key: path of the client's private key.
        client_certificate: path of the client's certificate.
        credential_provider: an entry point of the group ``opentelemetry_otlp_credential_provider``, which makes the session or the
            channel's credentials.
        temporality: what exported counters and histograms count from.
        warnings: settings that are ignored, one sentence each, without secrets.
    """

    protocol: Protocol
    endpoint: str = field(repr=False)  # may hold credentials, as headers do
    secure: bool
    timeout_s: float
    compression: str
    headers: Mapping[str, str] = field(repr=False)
    certificate: str | None
    client_key: str | None
    client_certificate: str | None
    credential_provider: str | None
    temporality: Temporality
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """Return one line for people. The endpoint may hold credentials: pass the line through a ``Redactor``."""
        parts = [f"OTLP {self.protocol} to {self.endpoint} {'with' if self.secure else 'without'} TLS"]
        parts.append("no timeout" if self.timeout_s * 1000 >= NO_LIMIT_MS else f"timeout {self.timeout_s:g} s")
        if self.compression != "none":
            parts.append(f"compression {self.compression}")
        if self.headers:
            parts.append(f"headers {' '.join(self.headers)}")
        return ", ".join(parts)


def read_otlp(variables: Mapping[str, str], signal: Signal) -> OtlpSettings:
    """Return the settings of a signal. Its own variables win over the general ones.

    If no protocol is set, port 4318 means HTTP and any other port gRPC. Timeouts are milliseconds, as in the specification
    and in Claude Code (opentelemetry-python reads seconds).

    Args:
        variables: the ``OTEL_*`` variables in effect.
        signal: what the exporter sends.

    Raises:
        ConfigError: the protocol is not supported, or the endpoint cannot be used with it.
    """
    return _Reader(variables, signal).read()


def whole_number(text: str) -> int | None:
    """Return the number that a text of digits means; None for any other text and for an absurd number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


class _Reader:
    """Reads ``OTEL_EXPORTER_OTLP_*`` for one signal, and notes what it ignores."""

    def __init__(self, variables: Mapping[str, str], signal: Signal) -> None:
        self._variables = variables
        self._signal = signal
        self._redact = Redactor(secrets_in(variables))
        self._warnings: list[str] = []

    def read(self) -> OtlpSettings:
        self._check_endpoint()
        protocol = self._protocol()
        endpoint, secure = self._grpc_target() if protocol == "grpc" else self._http_target()
        return OtlpSettings(
            protocol=protocol,
            endpoint=endpoint,
            secure=secure,
            timeout_s=self._timeout_ms() / 1000,
            compression=self._compression(protocol),
            headers=self._headers(),
            certificate=self._text("CERTIFICATE") or None,
            client_key=self._text("CLIENT_KEY") or None,
            client_certificate=self._text("CLIENT_CERTIFICATE") or None,
            credential_provider=self._credential_provider(protocol),
            temporality=self._temporality() if self._signal is Signal.METRICS else "cumulative",
            warnings=tuple(map(self._redact, self._warnings)),  # last: the lines above add to it
        )

    def _name(self, setting: str) -> str:
        """Return the name of the variable that is in effect: messages name the one to correct."""
        own = f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_{setting}"
        return own if self._variables.get(own, "").strip() else f"OTEL_EXPORTER_OTLP_{setting}"

    def _text(self, setting: str) -> str:
        return self._variables.get(self._name(setting), "").strip()

    def _protocol(self) -> Protocol:
        """Return the protocol that is set, else the one of the endpoint's port."""
        if text := self._text("PROTOCOL").lower():
            for protocol in _COMPRESSIONS:
                if text == protocol:
                    return protocol
            raise ConfigError(
                f"{self._name('PROTOCOL')}={text} is not supported: use grpc or http/protobuf, or leave it unset "
                f"(port {HTTP_PORT} then means http/protobuf, any other grpc)"
            )
        endpoint = self._text("ENDPOINT")
        try:
            port = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").port
        except ValueError:
            raise self._bad_endpoint("is not a URL") from None
        return "http/protobuf" if port == HTTP_PORT else "grpc"

    def _check_endpoint(self) -> None:
        """Refuse what no protocol can use as an address."""
        endpoint = self._text("ENDPOINT")
        scheme, _, rest = endpoint.rpartition("://")
        if any(character.isspace() for character in endpoint):
            raise self._bad_endpoint("is not a URL")
        if scheme in {"http", "https"} and not rest.partition("/")[0].partition("?")[0]:
            raise self._bad_endpoint("names no host")
        if endpoint and self._name("ENDPOINT") == _GENERAL_ENDPOINT and ("?" in rest or "#" in rest):
            raise self._bad_endpoint(
                "has a query, but paths are added to it. Leave the query out, and send a token as a header "
                "(OTEL_EXPORTER_OTLP_HEADERS)"
            )

    def _base(self) -> str:
        """Return the base of the URLs for HTTP, without the path of a signal, which is added anyway."""
        base = self._variables.get(_GENERAL_ENDPOINT, "").strip() or DEFAULT_HTTP_ENDPOINT
        short = _SIGNAL_PATH.sub("", base)
        if short != base:
            self._warnings.append(
                f"{_GENERAL_ENDPOINT}: {base.removeprefix(short)} is left out, because it is added anyway"
            )
        return short.removesuffix("/")

    def _http_target(self) -> tuple[str, bool]:
        """Return the URL and whether it means TLS. The signal's variable gives the whole URL, the general one its base."""
        own = self._variables.get(f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_ENDPOINT", "").strip()
        endpoint = own or f"{self._base()}/v1/{self._signal}"
        scheme = endpoint.partition("://")[0].lower()
        if scheme not in {"http", "https"}:
            raise self._bad_endpoint("has to begin with http:// or https:// for the protocol http/protobuf")
        return endpoint, scheme == "https"

    def _grpc_target(self) -> tuple[str, bool]:
        """Return the target and whether TLS is used: the scheme decides, then the variable. A target without a scheme means TLS."""
        endpoint = self._text("ENDPOINT") or DEFAULT_GRPC_ENDPOINT
        try:
            url = urlsplit(endpoint)
        except ValueError:
            raise self._bad_endpoint("is not a URL") from None
        insecure = self._text("INSECURE").lower()
        secure = url.scheme == "https" or (insecure != "true" if insecure else url.scheme != "http")
        return url.netloc or endpoint, secure

    def _bad_endpoint(self, problem: str) -> ConfigError:
        endpoint = self._redact(self._text("ENDPOINT"))
        return ConfigError(
            f"the OTLP endpoint {endpoint} {problem}: set {self._name('ENDPOINT')}, such as {DEFAULT_HTTP_ENDPOINT}"
        )

    def _timeout_ms(self) -> int:
        name, text = self._name("TIMEOUT"), self._text("TIMEOUT")
        if not text:
            return DEFAULT_TIMEOUT_MS
        milliseconds = whole_number(text)
        if milliseconds is None:
            self._warnings.append(f"{name}={text} is not a number of milliseconds: {DEFAULT_TIMEOUT_MS} is used")
            return DEFAULT_TIMEOUT_MS
        if 0 < milliseconds < SHORT_TIMEOUT_MS:
            self._warnings.append(f"{name}={text} is in milliseconds, too few for most exports")
        return min(milliseconds or NO_LIMIT_MS, NO_LIMIT_MS)

    def _compression(self, protocol: Protocol) -> str:
        text = self._text("COMPRESSION").lower() or "none"
        known = _COMPRESSIONS[protocol]
        if text in known:
            return text
        name = self._name("COMPRESSION")
        self._warnings.append(f"{name}={text} is not known for {protocol} ({', '.join(known)}): none is used")
        return "none"

    def _headers(self) -> dict[str, str]:
        headers = {}
        for position, entry in enumerate(filter(None, map(str.strip, self._text("HEADERS").split(","))), start=1):
            if header := _HEADER.fullmatch(entry):
                name, value = header[1], header[2].strip()
                decode = str if " " in value else unquote
                headers[decode(name).strip().lower()] = decode(value).strip()
            else:
                self._warnings.append(
                    f"{self._name('HEADERS')}: entry {position} is not of the form name=value and is not sent"
                )
        return headers

    def _credential_provider(self, protocol: Protocol) -> str | None:
        """Return what ``OTEL_PYTHON_EXPORTER_OTLP_<protocol>_[<signal>_]CREDENTIAL_PROVIDER`` names."""
        prefix = f"OTEL_PYTHON_EXPORTER_OTLP_{protocol.partition('/')[0].upper()}"
        names = (f"{prefix}_{self._signal.upper()}_CREDENTIAL_PROVIDER", f"{prefix}_CREDENTIAL_PROVIDER")
        return next(filter(None, (self._variables.get(name, "").strip() for name in names)), None)

    def _temporality(self) -> Temporality:
        histograms = self._variables.get(_HISTOGRAMS, "").strip().lower()
        if histograms not in {"", _EXPLICIT_BUCKETS}:
            self._warnings.append(f"{_HISTOGRAMS} is ignored: series keep explicit buckets")
        preference = self._variables.get(_TEMPORALITY, "").strip().lower() or "cumulative"
        if preference not in _TEMPORALITIES:
            known = ", ".join(_TEMPORALITIES)
            self._warnings.append(f"{_TEMPORALITY}={preference} is not known ({known}): cumulative is used")
        return _TEMPORALITIES.get(preference, "cumulative")
