"""Why a request over HTTP got no answer, in plain words. ``requests`` says it with the names of the classes of urllib3."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import requests

from claude_hooks_otel.export.reasons import NO_TLS, place_of, proxies, refused, untrusted
from claude_hooks_otel.settings.proxies import no_proxy_remedy, proxy_of

_USE_GRPC: Final = "Use the protocol grpc: `claude-hooks-otel install --protocol grpc`."
_GRPC_PORT: Final = 4317


def http_reason(error: Exception, endpoint: str) -> str:
    """Return why a request over HTTP got no answer.

    Args:
        error: what ``requests`` raised.
        endpoint: the URL.
    """
    place, host, port = place_of(endpoint)
    proxied_by = (proxy_of(endpoint, proxies()) or "http_proxy").upper()
    causes = list(_causes(error))

    def has(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if has(requests.exceptions.ProxyError):
        return f"the proxy of {proxied_by} does not answer. {no_proxy_remedy(host)}"
    if has(socket.gaierror):
        return f"the name {host} cannot be resolved"
    if isinstance(failed := has(ssl.SSLCertVerificationError), ssl.SSLCertVerificationError):
        return untrusted(place, failed.verify_message)
    if isinstance(failed := has(ssl.SSLError), ssl.SSLError):
        return NO_TLS if failed.reason == "WRONG_VERSION_NUMBER" else f"TLS with {place} failed: {failed.reason}"
    if has(ConnectionRefusedError):
        return refused(place)
    if isinstance(answer := has(http.client.BadStatusLine), http.client.BadStatusLine) and "\0" in str(answer):
        return f"{place} speaks gRPC, not HTTP. {_USE_GRPC}"
    if has(http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        hint = f". Port {port} is usually for gRPC. {_USE_GRPC}" if port == _GRPC_PORT else ""
        return f"{place} closed the connection without an answer{hint}"
    if isinstance(error, requests.ConnectTimeout):
        return f"timed out: no connection to {place}"
    if isinstance(error, requests.Timeout):
        return str(error) if str(error).startswith("timed out") else f"timed out: {place} does not answer"
    if isinstance(error, requests.ConnectionError):
        known = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
        if reason := next(known, None):
            return f"{place} cannot be reached: {reason}"
    return f"{type(error).__name__}: {error}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything that caused it: libraries hide causes in arguments and in ``reason``."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
