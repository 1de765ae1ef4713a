"""Which ad units are counted: those of the advertisers let in, and no more at a time than a partition can bear.

So thousands of made-up names a second cost no more than their lines: they get no window, no memory and no row.
"""

from collections.abc import Container, Sequence

import numpy as np

from pixeltally.cache import Cache
from pixeltally.compiled import Array
from pixeltally.hit import Hit
from streams.columns import UNIT, Lines
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
        self._units = Numbers(span_ms)
        self._campaigns = Numbers(2 * span_ms)  # for as long as anything by a campaign's visitors may be remembered
        self._campaign_of: Array = np.zeros(1024, np.int64)
        self._asked = Cache(1, 2 * max_units + 100_000, texts=4)  #: this span's answers

    def turn(self, arrived_ms: int, held: Container[int]) -> None:
        """Move on to the time of arrival `arrived_ms`; `held` are the numbers of units that have open windows."""
        if self._units.turn(arrived_ms, held):
            self._campaigns.turn(arrived_ms)
            self._asked.empty()

    def numbers(self, lines: Lines) -> Array:
        """The number of each hit's unit, the same as long as it is remembered."""
        return self._asked.look_up(lines.text, lines.columns[UNIT], self._enter_all)[:, 0]

    def recall(self, lines: Lines, counted: Array) -> Array:
        """The numbers of units, of facts, that were counted before, as `counted` says."""
        numbers = np.zeros(len(lines), np.int64)
        spans = np.ascontiguousarray(lines.columns[UNIT][:, counted])
        numbers[counted] = self._asked.look_up(lines.text, spans, self._recall_all)[:, 0]
        return numbers

    def campaigns(self, units: Array) -> Array:
        """The numbers of units' campaigns; 0 where the unit is not counted."""
        return self._campaign_of[units]

    def known(self, unit: Unit) -> int:
        """The number of a unit, which is not remembered any longer for having been asked for."""
        return self._units.known(unit)

    def name(self, number: int) -> Unit:
        """The unit with this number."""
        advertiser, campaign, creative, placement = self._units.names[number] if number else FOLDED
        return advertiser, campaign, creative, placement

    def _enter_all(self, questions: Sequence[tuple[str, ...]]) -> list[tuple[int]]:
        return [(self._remember(unit) if self._may_enter(unit) else NOT_COUNTED,) for unit in questions]

    def _recall_all(self, questions: Sequence[tuple[str, ...]]) -> list[tuple[int]]:
        return [(self._remember(unit),) for unit in questions]

    def _may_enter(self, unit: tuple[str, ...]) -> bool:
        if self._units.known(unit):
            return True
        return len(self._units) < self._max_units and (not self._advertisers or unit[0] in self._advertisers)

    def _remember(self, unit: tuple[str, ...]) -> int:
        number, campaign = self._units.enter(unit), self._campaigns.enter(unit[:2])
        if number >= len(self._campaign_of):
            self._campaign_of = np.concatenate([self._campaign_of, np.zeros(number, np.int64)])
        self._campaign_of[number] = campaign
        return number


class Numbers:
    """Numbers from 1 on, one a name; given again when the name is forgotten and nothing holds the number."""

    def __init__(self, span_ms: int) -> None:
        self.names: list[tuple[str, ...]] = [()]  #: by number
        self._known: Memory[tuple[str, ...], int] = Memory(span_ms)
        self._count = 0
        self._free: list[int] = []
        self._held: dict[tuple[str, ...], int] = {}  #: forgotten, and in use

    def __len__(self) -> int:
        return self._count

    def turn(self, arrived_ms: int, held: Container[int] = ()) -> bool:
        """Move on to the time of arrival `arrived_ms`, at which the numbers `held` are in use."""
        before = self._held | self._known.old | self._known.young
        if not self._known.turn(arrived_ms):
            return False
        self._count = len(self._known)
        forgotten = {name: number for name, number in before.items() if name not in self._known.old}
        self._held = {name: number for name, number in forgotten.items() if number in held}
        self._free += [number for name, number in forgotten.items() if name not in self._held]
        return True

    def known(self, name: tuple[str, ...]) -> int:
        """The number of a name; 0 where it has none."""
        return self._known.young.get(name) or self._known.old.get(name) or 0

    def enter(self, name: tuple[str, ...]) -> int:
        """The number of a name, which is remembered from now on."""
        number = self.known(name)
        if not number:
            self._count += 1
            number = self._held.pop(name, 0) or (self._free.pop() if self._free else len(self.names))
            self.names[number : number + 1] = [name]
        self._known.young[name] = number
        return number


def unit_of(hit: Hit) -> Unit:
    """The hit's ad unit."""
    return hit.advertiser, hit.campaign, hit.creative, hit.placement
