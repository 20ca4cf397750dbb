"""What every source returns: a batch of parsed items, and a cursor that says how far they were read.

Every source is read in the same way::

    with store.transaction():
        for item in batch.items:
            ...
        source.advance(batch)

The cursor moves in the transaction that holds the items. So if the daemon dies, at most some work is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Batch(Generic[Item]):
    """Some items of a source, read one by one.

    Attributes:
        items: the items. They can be read once.
        count: how many have been read so far, including unreadable ones.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self.count = 0
        self.items = self._counted(items)

    def _counted(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            self.count += 1
            yield item
