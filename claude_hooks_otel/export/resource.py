"""The OpenTelemetry resource: who sends. One stable identity per installation, so that totals go on where they stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import unquote

from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
    Resource,
)
from opentelemetry.sdk.version import __version__ as sdk_version

from claude_hooks_otel import __version__

DEFAULT_SERVICE_NAME = "claude-hooks-otel"

_logger = logging.getLogger(__name__)


def service_resource(environment: Mapping[str, str], instance_id: str) -> Resource:
    """The resource of everything this installation exports.

    ``OTEL_SERVICE_NAME`` wins over ``OTEL_RESOURCE_ATTRIBUTES``, and that over what is built in. There is no host name unless
    its owner puts one into the attributes. Attributes that can not be decoded are left out as a whole, with a warning, as the
    specification says.

    Args:
        environment: the ``OTEL_*`` variables in effect (``config.otel_environment``).
        instance_id: ``service.instance.id`` where the attributes name none: stable over restarts, unique per store.
    """
    attributes = {
        TELEMETRY_SDK_LANGUAGE: "python",
        TELEMETRY_SDK_NAME: "opentelemetry",
        TELEMETRY_SDK_VERSION: sdk_version,
        SERVICE_NAME: DEFAULT_SERVICE_NAME,
        SERVICE_VERSION: __version__,
        SERVICE_INSTANCE_ID: instance_id,
    }
    try:
        given = resource_attributes(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        attributes |= {key: value for key, value in given.items() if value or key not in attributes}
    except ValueError as error:
        _logger.warning("OTEL_RESOURCE_ATTRIBUTES is left out: %s", error)
    if name := environment.get("OTEL_SERVICE_NAME", "").strip():
        attributes[SERVICE_NAME] = name
    return Resource(attributes)


def resource_attributes(text: str) -> dict[str, str]:
    """The attributes in the form of ``OTEL_RESOURCE_ATTRIBUTES``: ``key1=value1,key2=value2``, percent-encoded UTF-8.

    Source: OpenTelemetry specification, Resource SDK, "Specifying resource information via an environment variable".

    Raises:
        ValueError: an entry has no ``=`` or no key, or its encoding is not UTF-8.
    """
    attributes = {}
    for position, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        key, equals, value = entry.partition("=")
        key = unquote(key.strip(), errors="strict")
        if not equals or not key:
            raise ValueError(f"entry {position} is not of the form key=value")
        attributes[key] = unquote(value.strip(), errors="strict")
    return attributes
