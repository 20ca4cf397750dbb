"""What every source gives: items, and a cursor that says how far they were read.

A source is read the same way, whatever it is::

    with store.transaction():
        for item in batch.items:
            ...
        source.advance(batch)

The cursor moves with the transaction that holds the items. So a death at any instruction repeats work at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Batch(Generic[Item]):
    """Some items of a source, read one by one.

    Attributes:
        items: the items; read them once.
        count: how many have been read so far, unreadable ones included.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self.count = 0
        self.items = self._counted(items)

    def _counted(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            self.count += 1
            yield item


B_contra = TypeVar("B_contra", contravariant=True)


class Source(Protocol[B_contra]):
    """Where information comes in."""

    def advance(self, batch: B_contra) -> None:
        """Move the cursor behind the items that were read, as part of the current transaction."""
