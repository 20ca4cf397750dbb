"""Who acted, and for which project: the labels that every series carries, normalized in one place."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

# Long enough for any name a team gives, short enough that a label can never hold a document.
MAX_LABEL_LENGTH = 64
# What a session without CLAUDE_AGENT_ID counts under.
DEFAULT_AGENT = "default"
UNKNOWN = "unknown"

# The labels of a series: (key, value) pairs, sorted by key.
Labels = tuple[tuple[str, str], ...]

_SEPARATORS = re.compile(r"[^\w.:+@-]+")  # letters, digits and _ of any script stay, and the few signs that names use


@functools.lru_cache(maxsize=4096)  # the same few names, thousands of times a second
def normalize(value: str | None, default: str = UNKNOWN) -> str:
    """One spelling for each name: NFKC, lower case, words joined by ``-``, at most MAX_LABEL_LENGTH characters.

    A path is cut to its last part, so that a folder can never become a label. What is empty after that is ``default``.

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
    """Return a label that may be left out, normalized; None if it is not set."""
    return normalize(value) if value else None


@dataclass(frozen=True, slots=True)
class Identity:
    """The normalized labels of one session at one time.

    Attributes:
        agent: the agent id; DEFAULT_AGENT where none was set.
        project: the project's name.
        team: the team, or None.
        sprint: the sprint, or None.
    """

    agent: str = DEFAULT_AGENT
    project: str = UNKNOWN
    team: str | None = None
    sprint: str | None = None

    def columns(self) -> dict[str, Any]:
        """The labels as a fact holds them."""
        return {"agent": self.agent, "project": self.project, "team": self.team, "sprint": self.sprint}

    def labels(self) -> tuple[tuple[str, str], ...]:
        """The labels as sorted pairs; what is not set is left out."""
        pairs = (("agent", self.agent), ("project", self.project), ("sprint", self.sprint), ("team", self.team))
        return tuple((key, value) for key, value in pairs if value is not None)


def encode_labels(labels: Labels) -> str:
    """The text under which a series stands in the store."""
    return json.dumps(labels, separators=(",", ":"), ensure_ascii=False)


def decode_labels(text: str) -> Labels:
    """The labels of a series as it stands in the store."""
    return tuple((key, value) for key, value in json.loads(text))
