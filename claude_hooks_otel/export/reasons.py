"""Why an endpoint could not be reached, in plain words and with what to do: what both protocols have in common."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

NO_TLS: Final = "the endpoint does not use TLS. Begin its address with http:// instead of https://."


def refused(place: str) -> str:
    """Return the reason for a refused connection."""
    return f"Connection refused: nothing listens on {place}"


def untrusted(place: str, details: str) -> str:
    """Return the reason where a certificate is not trusted."""
    return (
        f"the certificate of {place} is not trusted: {details}. "
        "If it is the right server, set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of its authority."
    )


def place_of(endpoint: str) -> tuple[str, str, int | None]:
    """Return ``host:port``, the host and the port of a URL."""
    url = urlsplit(endpoint)
    return url.netloc.rpartition("@")[2], url.hostname or endpoint, url.port


def proxies() -> dict[str, str]:
    """Return the variables of this process that name proxies."""
    return {f"{scheme}_proxy": address for scheme, address in getproxies().items()}
