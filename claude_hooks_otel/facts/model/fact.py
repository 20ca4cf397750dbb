"""What a fact is, and how two sightings of one fact become one.

Merging goes field by field. Its result does not depend on the order of the sightings, and repeating a sighting changes nothing. That
is why late, duplicated and reordered events are harmless. All times are Unix nanoseconds, all costs picodollars (``units.DOLLAR``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from claude_hooks_otel.metrics.labels import Labels, identity_labels

# Stands for a time in the key of a fact that no event told of.
INFERRED = 0


def key() -> Any:
    """Declare a part of the natural key."""
    return field(metadata={"merge": "key"})


def once(default: Any = None) -> Any:
    """Declare a field that the first sighting fills: every source says the same."""
    return field(default=default, metadata={"merge": "once"})


def greatest(default: Any = None) -> Any:
    """Declare a field that grows while the fact is still arriving, such as the tokens of a streamed answer."""
    return field(default=default, metadata={"merge": "greatest"})


def least(default: Any = None) -> Any:
    """Declare a field of which the smallest value counts, such as a start time."""
    return field(default=default, metadata={"merge": "least"})


def latest(default: Any = None) -> Any:
    """Declare a field whose newest value replaces the older one. It never contributes to a series."""
    return field(default=default, metadata={"merge": "latest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that happened, and the identity it counts for (``metrics.labels.Identity``).

    Attributes:
        TIMES: the fields that say when it happened, the most telling first.
    """

    TIMES: ClassVar[tuple[str, ...]] = ()

    agent: str | None = once()
    project: str | None = once()
    team: str | None = once()
    sprint: str | None = once()

    def merged(self, newer: Self) -> Self:
        """Return this fact with what another sighting of it adds; the same object if that is nothing."""
        changes = {}
        for name, how in shape_of(type(self)).merges:
            mine, theirs = getattr(self, name), getattr(newer, name)
            if theirs is None or theirs == mine:
                continue
            if (
                mine is None
                or how == "latest"
                or (how == "greatest" and theirs > mine)
                or (how == "least" and theirs < mine)
            ):
                changes[name] = theirs
        return replace(self, **changes) if changes else self

    @property
    def times(self) -> tuple[int, ...]:
        """The known times of the fact, the most telling first."""
        return tuple(at for name in self.TIMES if (at := getattr(self, name)) is not None and at != INFERRED)

    @property
    def happened_ns(self) -> int | None:
        """When the fact was complete, if it says so."""
        return next(iter(self.times), None)

    def labels(self) -> Labels:
        """Return the labels of its identity."""
        return identity_labels(self)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a kind of fact.

    Attributes:
        keys: the fields of the natural key.
        merges: every other field, and how it merges.
        names: all fields, the key first.
    """

    keys: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    names: tuple[str, ...]


_shapes: dict[type[Fact], Shape] = {}


def shape_of(kind: type[Fact]) -> Shape:
    """Return the shape of a kind of fact."""
    found = _shapes.get(kind)
    if found is None:
        found = _shapes[kind] = _shape(kind)
    return found


def _shape(kind: type[Fact]) -> Shape:
    how = [(field.name, field.metadata["merge"]) for field in fields(kind)]
    keys = tuple(name for name, merge in how if merge == "key")
    merges = tuple((name, merge) for name, merge in how if merge != "key")
    return Shape(keys, merges, (*keys, *(name for name, _ in merges)))
