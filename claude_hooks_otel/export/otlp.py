"""What the OTLP exporters of both protocols share: the receiver's answer, the user agent, and credential providers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from opentelemetry.sdk.version import __version__ as sdk_version

from claude_hooks_otel.settings import ConfigError

# As OpenTelemetry's own exporters identify themselves (OTLP exporter specification, "User Agent").
USER_AGENT = f"OTel-OTLP-Exporter-Python/{sdk_version}"
# Entry points that make a ``requests.Session`` or ``grpc.ChannelCredentials``; the group is OpenTelemetry's.
PROVIDERS = "opentelemetry_otlp_credential_provider"

_Kind = TypeVar("_Kind")


@dataclass(slots=True)
class Answer:
    """What the receiver said to the last attempt of an export.

    Attributes:
        error: why the attempt failed; None when it was accepted.
        code: the HTTP status, or the name of gRPC's; None if no answer came.
        rejected: how many points, spans or log records of an accepted request were refused (OTLP's partial success).
        message: what the receiver says to an accepted request.
    """

    error: str | None = None
    code: int | str | None = None
    rejected: int = 0
    message: str = ""

    def clear(self) -> None:
        """Forget the attempt before."""
        self.error, self.code, self.rejected, self.message = None, None, 0, ""

    def note_partial_success(self, response: Any) -> None:
        """Take over what an accepted request's response says. Each service has its own name for the number of refused parts.

        Source: OTLP specification, "Partial Success".
        """
        self.message = response.partial_success.error_message
        for field, value in response.partial_success.ListFields():
            if field.name.startswith("rejected_"):
                self.rejected = value


def provided_credentials(provider: str | None, kind: type[_Kind]) -> _Kind | None:
    """Return what a credential provider makes; None without one.

    Args:
        provider: the name of an entry point.
        kind: what it has to make.

    Raises:
        ConfigError: the provider is not installed, or makes something else.
    """
    if provider is None:
        return None
    for point in entry_points(group=PROVIDERS, name=provider):
        made = point.load()()
        if isinstance(made, kind):
            return made
        raise ConfigError(f"the credential provider {provider} makes a {type(made).__name__}, not a {kind.__name__}")
    raise ConfigError(f"the credential provider {provider} is not installed")
