"""Which proxy the requests to an endpoint go through, by the variables that ``requests`` and gRPC read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]


def proxy_of(endpoint: str, environ: Mapping[str, str]) -> str | None:
    """Return the name of the variable whose proxy serves an endpoint; None without one.

    Args:
        endpoint: a URL.
        environ: the environment with the variables.
    """
    url = urlsplit(endpoint)
    bypassed = next((environ[name] for name in ("no_proxy", "NO_PROXY") if environ.get(name)), "")
    if not url.hostname or proxy_bypass_environment(url.netloc.rpartition("@")[2], {"no": bypassed}):
        return None
    names = (f"{url.scheme}_proxy", f"{url.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((name for name in names if environ.get(name, "").strip()), None)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def no_proxy_remedy(host: str) -> str:
    """Return what to do where a proxy must not serve a host."""
    return f"If {host} needs no proxy, add it to NO_PROXY and run `claude-hooks-otel install` again."
