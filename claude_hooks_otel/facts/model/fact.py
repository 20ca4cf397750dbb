"""What a fact is, and how two versions of one fact merge.

Sources report the same fact at different times and with different fields. Each field merges on its own. The result does not depend on
the order, and merging the same version again changes nothing. So late, duplicated and reordered events do no harm.

All times are Unix nanoseconds, all costs picodollars (``units.DOLLAR``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar, Final, Self, TypeVar, dataclass_transform

from claude_hooks_otel.metrics.labels import Labels, identity_labels, labels_of

# The time in the key of a fact whose event never arrived.
INFERRED: Final = 0


def key() -> Any:
    """Declare a part of the natural key."""
    return field(metadata={"merge": "key"})


def identity() -> Any:
    """Declare a field of the identity. All of them come from the first version that has one, so that a fact counts for one identity."""
    return field(default=None, metadata={"merge": "identity"})


def once() -> Any:
    """Declare a field that keeps its first value. Every source reports the same one."""
    return field(default=None, metadata={"merge": "once"})


def greatest() -> Any:
    """Declare a field that keeps its greatest value. The tokens of an answer grow while it streams."""
    return field(default=None, metadata={"merge": "greatest"})


def least() -> Any:
    """Declare a field that keeps its smallest value, for example a start time."""
    return field(default=None, metadata={"merge": "least"})


def latest() -> Any:
    """Declare a field that keeps its newest value. It never contributes to a series."""
    return field(default=None, metadata={"merge": "latest"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a kind of fact.

    Attributes:
        keys: the fields of the natural key.
        merges: every other field, and how it merges.
        names: all fields, the key first.
        values: returns the values of a fact's fields, in the order of ``names``.
        key: returns the natural key of a fact: a tuple of texts and numbers.
    """

    keys: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    key: Callable[[Any], tuple[Any, ...]]


@dataclass(slots=True, kw_only=True, eq=True, unsafe_hash=True)
class Fact:
    """One thing that happened, and the identity it counts for (``metrics.labels.Identity``). Nobody changes a fact: see ``fact``.

    Attributes:
        SHAPE: its fields.
        TIMES: the fields that say when it happened. The first one that is known counts.
    """

    SHAPE: ClassVar[Shape]
    TIMES: ClassVar[tuple[str, ...]] = ()

    agent: str | None = identity()
    project: str | None = identity()
    team: str | None = identity()
    sprint: str | None = identity()
    user: str | None = identity()
    machine: str | None = identity()
    branch_label: str | None = identity()
    organization: str | None = identity()

    def merged(self, newer: Self) -> Self:
        """Return this fact merged with another version of it; the same object if nothing changes."""
        shape = self.SHAPE
        mine, theirs = shape.values(self), shape.values(newer)
        if mine == theirs:
            return self
        first, has_identity = len(shape.keys), self.agent is not None
        changes = {
            name: new
            for (name, how), old, new in zip(shape.merges, mine[first:], theirs[first:], strict=True)
            if new is not None and new != old and not (has_identity and how == "identity")
            if old is None or how == "latest" or (how == "greatest" and new > old) or (how == "least" and new < old)
        }
        return type(self)(**dict(zip(shape.names, mine, strict=True)) | changes) if changes else self

    @property
    def times(self) -> tuple[int, ...]:
        """The known times of the fact, in the order of ``TIMES``."""
        return tuple(at for name in self.TIMES if (at := getattr(self, name)) is not None and at != INFERRED)

    @property
    def happened_ns(self) -> int | None:
        """When it happened; None if no time is known."""
        for name in self.TIMES:
            if at := getattr(self, name):  # neither unknown nor INFERRED
                return int(at)
        return None

    def labels(self, /, **more: str | None) -> Labels:
        """Return the labels of its identity on metrics, and ``more`` labels with normalized values."""
        return labels_of(identity_labels(self), tuple(more.items()))


KINDS: Final[list[type[Fact]]] = []
"""Every kind of fact, as the decorator ``fact`` collects them."""

F = TypeVar("F", bound=Fact)


def _key_of(first: str, *others: str) -> Callable[[Any], tuple[Any, ...]]:
    if others:
        return attrgetter(first, *others)
    only = attrgetter(first)
    return lambda holder: (only(holder),)


@dataclass_transform(kw_only_default=True)
def fact(cls: type[F]) -> type[F]:
    """Declare a kind of fact. ``facts.tables`` gives it a table.

    The dataclass is not frozen, because a frozen one takes three times as long to make, and an import makes millions.
    """
    kind = dataclass(slots=True, kw_only=True, eq=True, unsafe_hash=True)(cls)
    how = [(field.name, field.metadata["merge"]) for field in fields(kind)]
    keys = tuple(name for name, merge in how if merge == "key")
    merges = tuple((name, merge) for name, merge in how if merge != "key")
    names = (*keys, *(name for name, _ in merges))
    kind.SHAPE = Shape(keys, merges, names, attrgetter(*names), _key_of(*keys))
    KINDS.append(kind)
    return kind
