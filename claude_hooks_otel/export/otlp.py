"""What OTLP over HTTP and over gRPC have in common: encoding, retries, the user agent and credential providers.

OpenTelemetry's encoders make the requests. Its exporters do not send them: they read ``os.environ`` even where every argument is given,
they keep the receiver's answer to themselves, and they take a redirect for a success.
"""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, TypeVar

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.version import __version__ as sdk_version

from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.settings import ConfigError, CredentialError, Credentials, OtlpSettings, Signal

# The text by which OpenTelemetry's exporters identify themselves (OTLP exporter specification, "User Agent").
USER_AGENT = f"OTel-OTLP-Exporter-Python/{sdk_version}"
# OpenTelemetry's group of entry points that make a ``requests.Session`` or ``grpc.ChannelCredentials``.
PROVIDERS = "opentelemetry_otlp_credential_provider"
# Tries of one export, and the pause before the second try in seconds. Each pause is twice as long as the one before.
TRIES, FIRST_PAUSE = 6, 1.0

_ENCODERS: Mapping[Signal, Callable[[Any], Any]] = {
    Signal.METRICS: encode_metrics,
    Signal.TRACES: encode_spans,
    Signal.LOGS: encode_logs,
}
_Kind = TypeVar("_Kind")


class OtlpSender(ABC):
    """Sends batches of one signal. It tries again only if the endpoint is away or asks for it, and once if credentials have expired.

    Args:
        otlp: how to send.
        signal: what is sent.
        credentials: headers that expire; None without any.

    Raises:
        ConfigError: the credential provider cannot be used.
    """

    def __init__(self, otlp: OtlpSettings, signal: Signal, credentials: Credentials | None = None) -> None:
        self._otlp = otlp
        self._expiring = credentials
        self._encode = _ENCODERS[signal]
        self._closed = threading.Event()

    def send(self, batch: Any) -> Outcome:
        """Send a batch, and return how the last try ended. All tries together take at most the configured timeout."""
        request = self._encode(batch)
        deadline = time.monotonic() + self._otlp.timeout_s
        for number in range(TRIES):
            outcome, pause = self._try_with_credentials(request, deadline)
            if pause is None:
                break
            asked = pause
            # The random factor spreads the tries of many machines.
            pause = asked or FIRST_PAUSE * 2**number * random.uniform(0.8, 1.2)  # noqa: S311
            if number + 1 == TRIES or pause > deadline - time.monotonic() or self._closed.wait(pause):
                return replace(outcome, retry_after_s=asked)
        return outcome

    def _try_with_credentials(self, request: Any, deadline: float) -> tuple[Outcome, float | None]:
        """Send a request, and once more with new credentials if the endpoint does not accept the present ones."""
        if self._expiring is None or self._closed.is_set():
            return self._try(request, self._otlp.headers, deadline - time.monotonic())
        try:
            used = self._expiring.headers(deadline - time.monotonic())
            outcome, pause = self._try(request, {**self._otlp.headers, **used}, deadline - time.monotonic())
            if outcome.is_unauthenticated:
                self._expiring.refused(used)
                renewed = self._expiring.headers(deadline - time.monotonic())
                if renewed != used:
                    return self._try(request, {**self._otlp.headers, **renewed}, deadline - time.monotonic())
        except CredentialError as error:
            return Outcome(Status.UNAVAILABLE, str(error)), None
        return outcome, pause

    @abstractmethod
    def _try(self, request: Any, headers: Mapping[str, str], timeout: float) -> tuple[Outcome, float | None]:
        """Send a request once.

        Args:
            request: the message.
            headers: what the settings and the credentials add, by lower-case name.
            timeout: seconds.

        Returns:
            The outcome, and the pause before the next try: seconds, 0 for the usual pause, None for no further try.
        """

    def close(self) -> None:
        """Close the connections for good. A request under way ends at once."""
        self._closed.set()
        if self._expiring is not None:
            self._expiring.interrupt()


def provided_credentials(provider: str | None, kind: type[_Kind]) -> _Kind | None:
    """Return what a credential provider makes; None without a provider.

    Args:
        provider: the name of an entry point.
        kind: the type that it has to make.

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
