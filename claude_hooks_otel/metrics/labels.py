"""Labels: the identity that every series carries, and the one spelling that each value has. Standard library only."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

# Every series carries these two labels, except those about the product's own health.
COMMON_LABELS: Final = ("agent", "project")
# Every series carries these two as well, if the owner of a session sets them.
OPTIONAL_LABELS: Final = ("team", "sprint")
IDENTITY_LABELS: Final = (*COMMON_LABELS, *OPTIONAL_LABELS)

# Long enough for any name that a team gives, too short for a document.
MAX_LABEL_LENGTH: Final = 64
# The agent of a session that sets no CLAUDE_AGENT_ID.
DEFAULT_AGENT: Final = "default"
UNKNOWN: Final = "unknown"

# The labels of a series: (key, value) pairs, sorted by key.
Labels = tuple[tuple[str, str], ...]
# The labels of the series that counts for every label set beyond a metric's limit. Source: the cardinality limits of OpenTelemetry's
# metrics SDK specification.
OVERFLOW: Final[Labels] = (("otel.metric.overflow", "true"),)

_SORTED_IDENTITY: Final = tuple(sorted(IDENTITY_LABELS))
_identity_values: Final = attrgetter(*_SORTED_IDENTITY)
# Letters, digits and _ of any script stay, and so do the few signs that are usual in names.
_SEPARATORS: Final = re.compile(r"[^\w.:+@-]+")


@functools.lru_cache(maxsize=4096)  # the same few names come thousands of times a second
def normalize(value: str | None, default: str = UNKNOWN) -> str:
    """Return a label value in its one spelling: NFKC, lower case, words joined by ``-``, at most MAX_LABEL_LENGTH characters.

    Only the last part of a path is kept, so that a folder can never become a label. If nothing is left, return ``default``.

    >>> normalize("  Back End ")
    'back-end'
    >>> normalize("/home/ann/Shop")
    'shop'
    """
    if not value:
        return default
    text = unicodedata.normalize("NFKC", value).strip().casefold()
    text = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    text = _SEPARATORS.sub("-", text).strip("-")
    return text[:MAX_LABEL_LENGTH].rstrip("-") or default


def normalize_optional(value: str | None) -> str | None:
    """Return the normalized value of an optional label, or None if it is not set."""
    return normalize(value) if value else None


@dataclass(frozen=True, slots=True)
class Identity:
    """The agent and project that something counts for. All values are normalized.

    Attributes:
        agent: the agent's name; DEFAULT_AGENT if none is set.
        project: the project's name.
        team: the team, or None.
        sprint: the sprint, or None.
    """

    agent: str = DEFAULT_AGENT
    project: str = UNKNOWN
    team: str | None = None
    sprint: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the identity as the fields of a fact."""
        return identity_columns(self)

    def labels(self) -> Labels:
        """Return the identity as labels."""
        return identity_labels(self)


def identity_columns(holder: Any) -> dict[str, Any]:
    """Return the four values of an identity by label key.

    Args:
        holder: an object with the attributes of IDENTITY_LABELS, such as an Identity, a fact or an ``AgentMonitor``.
    """
    return {key: getattr(holder, key) for key in IDENTITY_LABELS}


def identity_labels(holder: Any) -> Labels:
    """Return the labels of an identity, without those that are not set.

    Args:
        holder: an object with the attributes of IDENTITY_LABELS, such as an Identity or a fact.

    >>> identity_labels(Identity("backend", "shop", sprint="6b"))
    (('agent', 'backend'), ('project', 'shop'), ('sprint', '6b'))
    """
    return _without_unset(_identity_values(holder))


@functools.lru_cache(maxsize=1024)
def _without_unset(values: tuple[str | None, ...]) -> Labels:
    return tuple((key, value) for key, value in zip(_SORTED_IDENTITY, values, strict=True) if value is not None)


@functools.lru_cache(maxsize=4096)  # the label sets of a session are few, and each comes with every request and call
def labels_of(identity: Labels, more: tuple[tuple[str, str | None], ...]) -> Labels:
    """Return the labels of an identity and more labels, whose values are normalized."""
    return tuple(sorted((*identity, *((name, normalize(value)) for name, value in more))))


def resolve_identity(*sources: Mapping[str, str | None], project_name: Callable[[], str]) -> Identity:
    """Return the identity that several sources describe. For each label, the first source that sets it decides.

    Args:
        sources: label key to value as its owner writes it. None and an empty text mean that it is not set.
        project_name: returns the normalized name of the project. It is called only if no source sets one.

    >>> resolve_identity({"agent": "Back End", "team": ""}, {"agent": "other", "team": "Core"}, project_name=lambda: "shop")
    Identity(agent='back-end', project='shop', team='core', sprint=None)
    """
    found = {key: next((source[key] for source in sources if source.get(key)), None) for key in IDENTITY_LABELS}
    return Identity(
        agent=normalize(found["agent"], DEFAULT_AGENT),
        project=normalize_optional(found["project"]) or project_name(),
        team=normalize_optional(found["team"]),
        sprint=normalize_optional(found["sprint"]),
    )


@functools.lru_cache(maxsize=4096)
def encode_labels(labels: Labels) -> str:
    """Return labels as the text that the store keeps."""
    return json.dumps(labels, separators=(",", ":"), ensure_ascii=False)


def decode_labels(text: str) -> Labels:
    """Return the labels of a text that ``encode_labels`` made."""
    return tuple((key, value) for key, value in json.loads(text))
