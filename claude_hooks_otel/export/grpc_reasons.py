"""Why a request over gRPC was not accepted, in plain words. The library reports the texts of its C code."""

from __future__ import annotations

import re
from typing import Final

from claude_hooks_otel.export.reasons import NO_TLS, place_of, proxies, refused, untrusted
from claude_hooks_otel.settings.proxies import no_proxy_remedy, proxy_of

_USE_HTTP: Final = (
    "Use the protocol http/protobuf, usually on port 4318: `claude-hooks-otel install --protocol http/protobuf`."
)
# How gRPC says that an HTTP/1 server answered, in its versions.
_HTTP_SERVER: Final = re.compile(r"http1\.x server|Expected SETTINGS frame")
_UNKNOWN_NAME: Final = re.compile(
    r"[Dd]omain name not found|hostname lookup|[Nn]ame or service not known|DNS resolution"
)
_UNTRUSTED: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|peer certificate", re.IGNORECASE)


def grpc_reason(code: str, details: str, target: str, *, secure: bool) -> str:
    """Return why a request over gRPC was not accepted.

    Args:
        code: the name of the gRPC status.
        details: its text.
        target: ``host:port``.
        secure: whether TLS is used.
    """
    endpoint = f"{'https' if secure else 'http'}://{target}"
    place, host, _ = place_of(endpoint)
    if _HTTP_SERVER.search(details):
        reason = f"{place} speaks HTTP, not gRPC. {_USE_HTTP}"
    elif "WRONG_VERSION_NUMBER" in details:
        reason = NO_TLS
    elif _UNTRUSTED.search(details):
        reason = untrusted(place, details)
    elif "Connection refused" in details:
        reason = refused(place)
        if variable := proxy_of(endpoint, proxies()):
            reason = f"Connection refused, by {place} or by the proxy of {variable.upper()}. {no_proxy_remedy(host)}"
    elif code == "UNAVAILABLE" and _UNKNOWN_NAME.search(details):
        reason = f"the name {host} cannot be resolved"
    elif code == "DEADLINE_EXCEEDED":
        reason = f"timed out: no answer from {place}"
    else:
        reason = details
    return f"gRPC {code}: {reason}"
