"""Labels: the identity that every series carries, and the one spelling that each value has. Standard library only."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

# Every series carries these two labels, except those about the product's own health.
COMMON_LABELS: Final = ("agent", "project")
# Every series carries these two as well, if the owner of a session sets them.
OWNER_LABELS: Final = ("team", "sprint")
# And these, if the configuration chooses them (``[labels]``). They can name people, so they are off by default.
CHOSEN_LABELS: Final = ("user", "machine", "branch", "organization")
# What a session or a program can name.
NAMED_LABELS: Final = (*COMMON_LABELS, *OWNER_LABELS)
OPTIONAL_LABELS: Final = (*OWNER_LABELS, *CHOSEN_LABELS)
IDENTITY_LABELS: Final = (*COMMON_LABELS, *OPTIONAL_LABELS)
# Label → the attribute of an Identity, and of a fact, that has its value. Some facts have a branch of their own.
FIELDS: Final = {label: "branch_label" if label == "branch" else label for label in IDENTITY_LABELS}
# Begins the value of a chosen label that is only on spans and log events. ``normalize`` lets no value begin with it.
UNMEASURED: Final = "~"

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
_identity_values: Final = attrgetter(*(FIELDS[label] for label in _SORTED_IDENTITY))
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

    The chosen labels are None if the configuration does not choose them. If they are on no metric, they begin with UNMEASURED.

    Attributes:
        agent: the agent's name; DEFAULT_AGENT if none is set.
        project: the project's name.
        team: the team, or None.
        sprint: the sprint, or None.
        user: who runs the client, or None.
        machine: the machine, or None.
        branch_label: the git branch on which the turn began, or None.
        organization: the organization of the client's account, or None.
    """

    agent: str = DEFAULT_AGENT
    project: str = UNKNOWN
    team: str | None = None
    sprint: str | None = None
    user: str | None = None
    machine: str | None = None
    branch_label: str | None = None
    organization: str | None = None
    _columns: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def columns(self) -> dict[str, Any]:
        """Return the identity as the fields of a fact, without those that are None. Nobody changes the result: it is made once."""
        if self._columns is None:
            found = {name: value for name, value in identity_columns(self).items() if value is not None}
            object.__setattr__(self, "_columns", found)  # an import asks for it with every line
        return self._columns or {}

    def labels(self) -> Labels:
        """Return the identity as labels."""
        return identity_labels(self)


def identity_columns(holder: Any) -> dict[str, Any]:
    """Return the values of an identity by field.

    Args:
        holder: an object with the attributes FIELDS, such as an Identity or a fact.
    """
    return {name: getattr(holder, name) for name in FIELDS.values()}


def identity_labels(holder: Any) -> Labels:
    """Return the labels of an identity on metrics, without those that are not set.

    Args:
        holder: an object with the attributes FIELDS, such as an Identity or a fact.

    >>> identity_labels(Identity("backend", "shop", sprint="6b"))
    (('agent', 'backend'), ('project', 'shop'), ('sprint', '6b'))
    """
    return _measured(_identity_values(holder))


@functools.lru_cache(maxsize=4096)
def _measured(values: tuple[str | None, ...]) -> Labels:
    pairs = zip(_SORTED_IDENTITY, values, strict=True)
    return tuple((key, value) for key, value in pairs if value is not None and not value.startswith(UNMEASURED))


def all_identity_labels(holder: Any) -> Labels:
    """Return the labels of an identity, also those that are only on spans and log events. The argument is that of ``identity_labels``.

    >>> all_identity_labels(Identity("backend", "shop", user="~ann"))
    (('agent', 'backend'), ('project', 'shop'), ('user', 'ann'))
    """
    pairs = zip(_SORTED_IDENTITY, _identity_values(holder), strict=True)
    return tuple((key, value.removeprefix(UNMEASURED)) for key, value in pairs if value is not None)


@functools.lru_cache(maxsize=4096)  # the label sets of a session are few, and each comes with every request and call
def labels_of(identity: Labels, more: tuple[tuple[str, str | None], ...]) -> Labels:
    """Return the labels of an identity and more labels, whose values are normalized."""
    return tuple(sorted((*identity, *((name, normalize(value)) for name, value in more))))


def resolve_identity(
    *sources: Mapping[str, str | None],
    project_name: Callable[[], str],
    chosen: Mapping[str, str | None] = MappingProxyType({}),
) -> Identity:
    """Return the identity that several sources describe. For each label, the first source that sets it decides.

    Args:
        sources: label key to value as its owner writes it. None and an empty text mean that it is not set.
        project_name: returns the normalized name of the project. It is called only if no source sets one.
        chosen: the chosen labels as an ``Identity`` has them. No source sets these.

    >>> resolve_identity({"agent": "Back End", "team": ""}, {"agent": "other", "team": "Core"}, project_name=lambda: "shop")
    Identity(agent='back-end', project='shop', team='core', sprint=None, user=None, machine=None, branch_label=None, organization=None)
    """
    found = {key: next((source[key] for source in sources if source.get(key)), None) for key in NAMED_LABELS}
    return Identity(
        agent=normalize(found["agent"], DEFAULT_AGENT),
        project=normalize_optional(found["project"]) or project_name(),
        team=normalize_optional(found["team"]),
        sprint=normalize_optional(found["sprint"]),
        **{FIELDS[label]: value for label, value in chosen.items()},
    )


@functools.lru_cache(maxsize=4096)
def encode_labels(labels: Labels) -> str:
    """Return labels as the text that the store keeps."""
    return json.dumps(labels, separators=(",", ":"), ensure_ascii=False)


def decode_labels(text: str) -> Labels:
    """Return the labels of a text that ``encode_labels`` made."""
    return tuple((key, value) for key, value in json.loads(text))
