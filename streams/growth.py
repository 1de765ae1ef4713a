"""What becomes of counts when `pixeltally.hits` gets more partitions: visitors move, and what is known of them too.

A visitor's partition is a hash modulo how many there are. Where that grows to a multiple, all that a new partition gets
comes from one old one, its parent: it takes up what the parent's facts say of those visitors, before its own.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pixeltally import topics
from pixeltally.compiled import Array
from pixeltally.errors import Refused
from pixeltally.partition import key, partitions
from streams import columns
from streams.columns import Lines


class Growth(NamedTuple):
    """From how many partitions to how many."""

    before: int
    after: int

    def parent(self, partition: int) -> int | None:
        """Where visitors came from that are in a partition now; None where they always were there."""
        return partition % self.before if partition >= self.before else None

    def moved(self, lines: Lines, partition: int) -> Array:
        """Which lines are of visitors that are in a partition now."""
        visitors = lines.columns[columns.VISITOR].astype(np.uint64).tolist()
        keys = [
            key(lines.read(columns.ADVERTISER, index), lines.read(columns.CAMPAIGN, index), visitor)
            for index, visitor in enumerate(visitors)
        ]
        moved: Array = np.array(partitions(keys, self.after), np.int64) == partition
        return moved


def growth(before: Iterable[int], after: int) -> Growth | None:
    """The growth to `after` partitions, where facts were made with `before` (0: not known); None where there was none.

    Raises :class:`Refused` where counts can't be carried over it.
    """
    counts = sorted({count for count in before if count not in (0, after)})
    if not counts:
        return None
    if len(counts) > 1:
        raise Refused(
            f"{topics.HITS} was grown again, from {counts[0]} by {counts[1]} to {after} partitions, before visitors'"
            " counts were carried over once: start `pixeltally streams` again in an hour; no hit is lost meanwhile"
        )
    if after % counts[0]:
        raise Refused(
            f"{topics.HITS} was grown from {counts[0]} partitions to {after}, which is no multiple, so that visitors'"
            f" counts can't be carried over: grow all topics on to {-(-after // counts[0]) * counts[0]} partitions"
        )
    return Growth(counts[0], after)
