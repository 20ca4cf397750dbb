"""Variables that are right for Claude Code's own telemetry and that this product cannot use, or can use better in another form."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from claude_hooks_otel.settings import Signal
from claude_hooks_otel.settings.proxies import is_loopback, no_proxy_remedy, proxy_of

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", *(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" for signal in Signal))
_PROTOCOLS = tuple(name.replace("ENDPOINT", "PROTOCOL") for name in _ENDPOINTS)


def adapted(variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a shell as this product can use them, and a sentence for each difference.

    Args:
        variables: ``OTEL_*`` variables.
    """
    found, notes = dict(variables), []
    for name in _PROTOCOLS:
        if found.get(name, "").strip().lower() == "http/json":
            found[name] = "http/protobuf"
            notes.append(
                f"{name}=http/json is for Claude Code itself: http/protobuf is used here, to the same endpoint."
            )
    for signal in Signal:
        name = f"OTEL_{signal.upper()}_EXPORTER"
        names = [part.strip() for part in found.get(name, "").split(",") if part.strip()]
        usable = [part for part in names if part.lower() != "prometheus"]
        if len(usable) == len(names):
            continue
        found.pop(name)
        if usable:
            found[name] = ",".join(usable)
        instead = f"{', '.join(usable)} is used" if usable else "the variable is left out"
        notes.append(
            f"{name}: prometheus is for Claude Code itself, and {instead} here. "
            "For a page that Prometheus scrapes, add [exporters.prometheus] to the configuration."
        )
    for name in _ENDPOINTS:
        if name in found and (repaired := with_scheme(found[name])) != found[name]:
            found[name] = repaired
            notes.append(f"{name} has no scheme: {repaired} is used.")
    return found, notes


def with_scheme(endpoint: str) -> str:
    """Return an endpoint on this machine with ``http://`` before it, if it has no scheme. Others stay as they are."""
    text = endpoint.strip()
    if "://" in text or any(character.isspace() for character in text):
        return endpoint
    try:
        host = urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return endpoint
    return f"http://{text}" if is_loopback(host) else endpoint


def proxy_notes(variables: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """Return a sentence if a proxy would get the requests to an endpoint on this machine.

    Args:
        variables: the ``OTEL_*`` variables in effect.
        environ: the environment of the daemon.
    """
    for name in _ENDPOINTS:
        endpoint = variables.get(name, "").strip()
        try:
            host = urlsplit(endpoint).hostname or ""
        except ValueError:
            continue
        if is_loopback(host) and (variable := proxy_of(endpoint, environ)):
            return [f"{variable} sends the requests to {endpoint} to a proxy. {no_proxy_remedy(host)}"]
    return []
