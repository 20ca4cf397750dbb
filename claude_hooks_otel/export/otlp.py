"""What OpenTelemetry's variables say about the OTLP exporter of a signal: protocol, target, security, timeout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from claude_hooks_otel.export.redaction import Redactor
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.settings.config import ConfigError

Protocol = Literal["grpc", "http/protobuf"]

DEFAULT_GRPC_ENDPOINT = "http://localhost:4317"
DEFAULT_HTTP_ENDPOINT = "http://localhost:4318"
HTTP_PORT = 4318  # the port registered for OTLP over HTTP; 4317 is gRPC's
HTTP_PATH = "v1"  # and the signal

DEFAULT_TIMEOUT_MS = 10_000
NO_LIMIT_MS = 2**31 - 1  # the specification's own stand-in for "no limit"
# Less than this is no time for a request: whoever writes it probably means seconds.
SHORT_TIMEOUT_MS = 100

_HISTOGRAMS = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_EXPLICIT_BUCKETS = "explicit_bucket_histogram"

_COMPRESSIONS: Mapping[Protocol, tuple[str, ...]] = {
    "grpc": ("none", "gzip"),
    "http/protobuf": ("none", "gzip", "deflate"),
}


@dataclass(slots=True)
class Answer:
    """What the receiver said to the last attempt of an export. The stock exporters keep it to themselves, or only log it.

    Attributes:
        error: why the attempt failed; None when it was accepted.
        code: the HTTP status, or the name of gRPC's; None where no answer came.
        rejected: how many points, spans or log records of an accepted request were refused (OTLP's partial success).
        message: what the receiver has to say to an accepted request.
    """

    error: str | None = None
    code: int | str | None = None
    rejected: int = 0
    message: str = ""

    def clear(self) -> None:
        """Forgets the attempt before."""
        self.error, self.code, self.rejected, self.message = None, None, 0, ""


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How the OTLP exporter of a signal sends.

    Attributes:
        protocol: the transport.
        endpoint: the whole URL for HTTP; ``host:port`` or another gRPC target for gRPC.
        secure: whether TLS is used.
        timeout_s: seconds that one export may take, its retries included.
        compression: ``none``, ``gzip`` or ``deflate``.
        header_names: the names of the headers that are sent along.
        warnings: what the variables say that can not be followed, a sentence each.
    """

    protocol: Protocol
    endpoint: str
    secure: bool
    timeout_s: float
    compression: str
    header_names: tuple[str, ...]
    warnings: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], signal: Signal) -> OtlpSettings:
        """Reads the ``OTEL_*`` variables in effect; those of the signal win over the general ones.

        Where no protocol is named, port 4318 means HTTP and anything else gRPC. Timeouts are milliseconds, as the specification
        and Claude Code have them (opentelemetry-python reads seconds). Source: OpenTelemetry specification, "OpenTelemetry
        Protocol Exporter" and "Common configuration".

        Raises:
            ConfigError: the protocol is not supported, or the endpoint can not be used with it.
        """
        protocol = _protocol(environment, signal)
        endpoint, secure = (_grpc_target if protocol == "grpc" else _http_target)(environment, signal)
        warnings: list[str] = []
        if (
            signal is Signal.METRICS
            and environment.get(_HISTOGRAMS, _EXPLICIT_BUCKETS).strip().lower() != _EXPLICIT_BUCKETS
        ):
            warnings.append(f"{_HISTOGRAMS} is ignored: series keep explicit buckets")
        return cls(
            protocol=protocol,
            endpoint=endpoint,
            secure=secure,
            timeout_s=_timeout_ms(environment, signal, warnings) / 1000,
            compression=_compression(environment, signal, protocol, warnings),
            header_names=tuple(
                header.partition("=")[0].strip()
                for header in variable(environment, "HEADERS", signal).split(",")
                if "=" in header
            ),
            warnings=tuple(warnings),
        )

    def describe(self) -> str:
        """One line for people; the endpoint may hold credentials, so it is for a ``Redactor`` to pass on."""
        parts = [f"OTLP {self.protocol} to {self.endpoint} {'with' if self.secure else 'without'} TLS"]
        parts.append("no timeout" if self.timeout_s * 1000 >= NO_LIMIT_MS else f"timeout {self.timeout_s:g} s")
        if self.compression != "none":
            parts.append(f"compression {self.compression}")
        if self.header_names:
            parts.append(f"headers {' '.join(self.header_names)}")
        return ", ".join(parts)


def variable(environment: Mapping[str, str], name: str, signal: Signal) -> str:
    """The value of ``OTEL_EXPORTER_OTLP_<signal>_<name>``, else of ``OTEL_EXPORTER_OTLP_<name>``, else an empty text."""
    return environment.get(_in_effect(environment, name, signal), "").strip()


def _in_effect(environment: Mapping[str, str], name: str, signal: Signal) -> str:
    """The variable that ``variable`` reads: messages are to name the one that has to be corrected."""
    specific = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"
    return specific if environment.get(specific, "").strip() else f"OTEL_EXPORTER_OTLP_{name}"


def _protocol(environment: Mapping[str, str], signal: Signal) -> Protocol:
    """The protocol that is named, else the one that the endpoint's port stands for."""
    match variable(environment, "PROTOCOL", signal).lower():
        case "grpc":
            return "grpc"
        case "http/protobuf":
            return "http/protobuf"
        case "":
            endpoint = variable(environment, "ENDPOINT", signal)
            try:
                port = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").port
            except ValueError:
                raise _bad_endpoint(environment, signal, "is no URL") from None
            return "http/protobuf" if port == HTTP_PORT else "grpc"
        case other:
            raise ConfigError(
                f"{_in_effect(environment, 'PROTOCOL', signal)}={other} is not supported: "
                "use grpc or http/protobuf, or leave it unset "
                f"(port {HTTP_PORT} then means http/protobuf, any other grpc)"
            )


def _http_target(environment: Mapping[str, str], signal: Signal) -> tuple[str, bool]:
    """The URL, which the signal's variable gives as it is and the general one as a base; and whether it means TLS."""
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or DEFAULT_HTTP_ENDPOINT
    specific = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    endpoint = specific or f"{base.removesuffix('/')}/{HTTP_PATH}/{signal}"
    scheme = endpoint.partition("://")[0].lower()
    if scheme not in {"http", "https"}:
        raise _bad_endpoint(environment, signal, "has to begin with http:// or https:// for the protocol http/protobuf")
    return endpoint, scheme == "https"


def _grpc_target(environment: Mapping[str, str], signal: Signal) -> tuple[str, bool]:
    """The target and whether TLS is used: the scheme decides, then the variable; a target without a scheme means TLS."""
    endpoint = variable(environment, "ENDPOINT", signal) or DEFAULT_GRPC_ENDPOINT
    try:
        url = urlsplit(endpoint)
    except ValueError:
        raise _bad_endpoint(environment, signal, "is no URL") from None
    insecure = variable(environment, "INSECURE", signal).lower()
    secure = url.scheme == "https" or (insecure != "true" if insecure else url.scheme != "http")
    return url.netloc or endpoint, secure


def _bad_endpoint(environment: Mapping[str, str], signal: Signal, problem: str) -> ConfigError:
    endpoint = Redactor(environment)(variable(environment, "ENDPOINT", signal))
    return ConfigError(
        f"the OTLP endpoint {endpoint} {problem}: "
        f"set {_in_effect(environment, 'ENDPOINT', signal)}, such as {DEFAULT_HTTP_ENDPOINT}"
    )


def _timeout_ms(environment: Mapping[str, str], signal: Signal, warnings: list[str]) -> int:
    name, text = _in_effect(environment, "TIMEOUT", signal), variable(environment, "TIMEOUT", signal)
    if not text:
        return DEFAULT_TIMEOUT_MS
    if not (text.isascii() and text.isdigit()):
        warnings.append(f"{name}={text} is not a number of milliseconds: {DEFAULT_TIMEOUT_MS} is used")
        return DEFAULT_TIMEOUT_MS
    milliseconds = int(text)
    if 0 < milliseconds < SHORT_TIMEOUT_MS:
        warnings.append(f"{name}={text} is in milliseconds and hardly enough for any export")
    return min(milliseconds or NO_LIMIT_MS, NO_LIMIT_MS)


def _compression(environment: Mapping[str, str], signal: Signal, protocol: Protocol, warnings: list[str]) -> str:
    text = variable(environment, "COMPRESSION", signal).lower() or "none"
    known = _COMPRESSIONS[protocol]
    if text in known:
        return text
    name = _in_effect(environment, "COMPRESSION", signal)
    warnings.append(f"{name}={text} is not known for {protocol} ({', '.join(known)}): none is used")
    return "none"
