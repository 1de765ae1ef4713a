"""Which ad units are counted: those of the advertisers let in, and no more at a time than a partition can bear.

So thousands of made-up names a second cost no more than their lines: they get no window, no memory and no row.
"""

from collections.abc import Sequence

from pixeltally.hit import Hit
from streams.memory import Memory

Unit = tuple[str, str, str, str]

#: The verdict of a hit whose ad unit is not counted.
UNREGISTERED = "unregistered"

#: The number of an ad unit that is not counted; others are greater.
NOT_COUNTED = 0

#: What minutes call all those together; `~` can't be in a name.
FOLDED: Unit = ("~unregistered", "~unregistered", "~unregistered", "")


class Registry:
    """The ad units of one partition, by number. One that is not asked for during a memory's span makes room."""

    def __init__(self, advertisers: frozenset[str], max_units: int, span_ms: int) -> None:
        """`advertisers`: none named lets in all."""
        self._advertisers = advertisers
        self._max_units = max_units
        self._numbers: Memory[Unit, int] = Memory(span_ms)
        self._count = 0
        self._last_number = 0

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        if self._numbers.turn(arrived_ms):
            self._count = len(self._numbers)

    def numbers(self, hits: Sequence[Hit]) -> list[int]:
        """The number of each hit's unit, the same as long as it is remembered."""
        units = [unit_of(hit) for hit in hits]
        known = self._numbers.young.get
        return [known(unit) or self._enter(unit) for unit in units]

    def recall(self, unit: Unit) -> int:
        """The number of a unit that was counted before."""
        young = self._numbers.young.get(unit)
        return self._remember(unit, self._numbers.old.get(unit)) if young is None else young

    def known(self, unit: Unit) -> int:
        """The number of a unit, which is not remembered any longer for having been asked for."""
        return self._numbers.young.get(unit) or self._numbers.old.get(unit) or NOT_COUNTED

    def _enter(self, unit: Unit) -> int:
        young, old = self._numbers.young.get(unit), self._numbers.old.get(unit)
        if young is not None:
            return young
        if old is None and (self._count >= self._max_units or not self._may_enter(unit)):
            return NOT_COUNTED
        return self._remember(unit, old)

    def _may_enter(self, unit: Unit) -> bool:
        return not self._advertisers or unit[0] in self._advertisers

    def _remember(self, unit: Unit, number: int | None) -> int:
        if number is None:
            self._count += 1
            number = self._last_number = self._last_number + 1
        self._numbers.young[unit] = number
        return number


def unit_of(hit: Hit) -> Unit:
    """The hit's ad unit."""
    return hit.advertiser, hit.campaign, hit.creative, hit.placement
