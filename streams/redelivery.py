"""Drops lines that were shipped twice.

Within a partition a node's lines arrive in order of their `seq`, so one number a node says what was seen: the
highest. A line at or below it has been here before (the shipper sends again what no broker acknowledged).
"""

from collections.abc import Sequence

from pixeltally.hit import Hit


def fresh(hits: Sequence[Hit], seen: dict[str, int]) -> list[bool]:
    """Which hits come for the first time; `seen` (node → highest seq) is moved forward."""
    result = []
    for hit in hits:
        new = hit.seq > seen.get(hit.node, -1)
        if new:
            seen[hit.node] = hit.seq
        result.append(new)
    return result
