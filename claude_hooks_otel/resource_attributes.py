"""``OTEL_RESOURCE_ATTRIBUTES``: how it is read, and the labels that some of its attributes set. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

# Label → the attributes that set it. The first one that has a value decides.
LABEL_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("agent.id", "agent"),
    "project": ("project.name", "project"),
    "team": ("team",),
    "sprint": ("sprint",),
}


def resource_attributes(text: str) -> dict[str, str]:
    """Return the attributes in the form of ``OTEL_RESOURCE_ATTRIBUTES``: ``key1=value1,key2=value2``, percent-encoded UTF-8.

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


def attribute_labels(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that resource attributes set, as their owner writes them.

    >>> attribute_labels({"project.name": "book-cataloger", "project": "other", "team": "backend", "service.name": "x"})
    {'project': 'book-cataloger', 'team': 'backend'}
    """
    found = {
        label: next((attributes[key] for key in keys if attributes.get(key)), "")
        for label, keys in LABEL_ATTRIBUTES.items()
    }
    return {label: value for label, value in found.items() if value}
