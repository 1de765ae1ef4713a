"""Orders convert once, however long ago they are remembered: a conversion that names its order is judged by that."""

from streams.hits import Hits
from streams.memory import Memory
from streams.registry import NOT_COUNTED


class Orders:
    """The orders of an ad unit that were counted."""

    def __init__(self, span_ms: int) -> None:
        self._counted: Memory[tuple[int, str], bool] = Memory(span_ms)

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        self._counted.turn(arrived_ms)

    def named(self, hits: Hits) -> list[int]:
        """Which hits are conversions that name their order, of ad units that are counted."""
        return [
            index
            for index, hit in hits.actions.items()
            if hit.kind == "conversion" and hit.order and hits.units[index] != NOT_COUNTED
        ]

    def is_duplicate(self, hits: Hits, index: int) -> bool:
        """Whether the order of this conversion was counted before; from now on it was."""
        order = int(hits.units[index]), hits.actions[index].order
        known = order in self._counted.young or order in self._counted.old
        if not known:
            self._counted.young[order] = True
        return known
