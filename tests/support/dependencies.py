"""What an installation brings with it. ``python -m tests.support.dependencies`` prints the pins of ``constraints.txt`` for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.places import ROOT

NAME = "claude-hooks-otel"
# The extras that users install. ``dev`` is for developers only and is not shipped.
EXTRAS = ("keyring", "mcp", "postgresql", "prometheus", "quality", "web")


def shipped() -> set[str]:
    """Return the names of all distributions that the package and its extras need on this platform, without the package."""
    found: set[tuple[str, str]] = set()
    todo = [(NAME, extra) for extra in ("", *EXTRAS)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(needed.name), wanted) for wanted in ("", *needed.extras)]
    return {name for name, _ in found} - {NAME}


def licence(name: str) -> str:
    """Return the licence that a distribution declares."""
    metadata = distribution(name).metadata
    declared = metadata.get("License-Expression")
    if declared:
        return declared
    classified = [
        text.rsplit(" :: ", 1)[1] for text in metadata.get_all("Classifier") or () if text.startswith("License")
    ]
    return ", ".join(classified) or (metadata.get("License") or "").strip().splitlines()[0]


def pins() -> Iterator[str]:
    """Yield the lines of ``constraints.txt`` that pin what is shipped."""
    names = shipped()
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if canonicalize_name(re.split("==", line, maxsplit=1)[0]) in names:
            yield line


if __name__ == "__main__":
    print("\n".join(pins()))
