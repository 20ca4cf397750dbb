"""Values in the client's JSON, which can have any type, and digests of names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one instead of any other value."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """Return a list; an empty one instead of any other value."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """Return a text; None instead of any other value."""
    return value if isinstance(value, str) else None


def name_digest(name: str) -> str:
    """Return 16 hex digits of SHA-256 that stand for a path, a branch's name or a pull request's address."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
