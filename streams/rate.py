"""Visitors that ask for more than people do: too much of a campaign within a minute, or within a second.

Rule: MRC IVT guidelines, activity-based filtration. Only what is counted is judged: a request that is valid and no
duplicate. Who is over a limit is so for the rest of that minute (of the hits' own time), from the next message on;
what is over a limit is not counted.

The limits, and why no office or phone network meets them. A reload is a duplicate, so what is left of a visitor's
minute is about the number of different ad units seen. Who opens a page every five seconds, with five ad units of one
campaign on each and never the same, makes 60 in a minute. A carrier-grade NAT cuts an address's 65,536 ports into
blocks, one a subscriber (RFC 7422); at 500 ports each, 128 subscribers share an address, and if a tenth of them were on
such pages in the same minute, they would make 780: the limit is 1,000. If those thirteen opened, in the same second, a
page with a dozen ad units of the campaign each, they would make 156: the limit is 200. Relays and companies' security
services put more people than that behind an address: they are not judged.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from streams.memory import Memory

RATE, BURST = "rate", "burst"

MINUTE_MS = 60_000
SECOND_MS = 1000

#: Counted requests of a visitor in one minute of the hits' own time that are nothing special.
MOST_A_MINUTE = 1000

#: In one second; the first so many of a minute aside.
MOST_A_SECOND = 200


@dataclass(slots=True)
class _Minute:
    """What visitors were counted for in one minute."""

    counted: Counter[Hashable] = field(default_factory=Counter)
    seconds: Counter[tuple[Hashable, int]] = field(default_factory=Counter)  #: of those with many
    over: dict[Hashable, str] = field(default_factory=dict)


class Rates:
    """What visitors were counted for, as far as it arrived in this minute of arrival or the last."""

    def __init__(self) -> None:
        self._minutes: Memory[int, _Minute] = Memory(MINUTE_MS)
        self.anybody_over = False  #: whether `over` need be asked

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        if self._minutes.turn(arrived_ms):
            self.anybody_over = any(minute.over for minute in self._minutes.old.values())

    def over(self, visitors: Sequence[Hashable], times: Sequence[int]) -> Mapping[int, str]:
        """Whose requests of a message are over a limit, by index, and which; `visitors` of campaigns told apart."""
        if not self.anybody_over:
            return {}
        found = {}
        for index, (visitor, ts) in enumerate(zip(visitors, times, strict=True)):
            for spans in (self._minutes.young, self._minutes.old):
                minute = spans.get(ts // MINUTE_MS)
                if minute is not None and visitor in minute.over:
                    found[index] = minute.over[visitor]
        return found

    def count(self, visitors: Sequence[Hashable], times: Sequence[int]) -> None:
        """Count in a message's requests that are valid, no duplicates, and of somebody."""
        if not times:
            return
        if min(times) // MINUTE_MS == max(times) // MINUTE_MS:
            self._count(times[0] // MINUTE_MS, visitors, times)
            return
        by_minute = sorted(zip(times, visitors, strict=True), key=lambda each: each[0] // MINUTE_MS)
        for minute, group in groupby(by_minute, lambda each: each[0] // MINUTE_MS):
            of_minute = list(group)
            self._count(minute, [visitor for _, visitor in of_minute], [ts for ts, _ in of_minute])

    def _count(self, minute: int, visitors: Sequence[Hashable], times: Sequence[int]) -> None:
        young, old = self._minutes.young.get(minute), self._minutes.old.get(minute)
        if young is None:
            young = self._minutes.young[minute] = _Minute()
        counted = young.counted
        counted.update(visitors)
        if old is None:
            if max(map(counted.__getitem__, visitors)) > MOST_A_SECOND:
                self._look_closer(young, _Minute(), visitors, times)
        elif max(counted[visitor] + old.counted[visitor] for visitor in visitors) > MOST_A_SECOND:
            self._look_closer(young, old, visitors, times)

    def _look_closer(self, young: _Minute, old: _Minute, visitors: Sequence[Hashable], times: Sequence[int]) -> None:
        """Count seconds of those who have asked for many, and find who is over a limit."""
        for visitor, ts in zip(visitors, times, strict=True):
            count = young.counted[visitor] + old.counted[visitor]
            if count <= MOST_A_SECOND:
                continue
            second = (visitor, ts // SECOND_MS)
            young.seconds[second] += 1
            if count > MOST_A_MINUTE:
                young.over[visitor] = RATE
            elif young.seconds[second] + old.seconds[second] > MOST_A_SECOND:
                young.over.setdefault(visitor, BURST)
        self.anybody_over = self.anybody_over or bool(young.over)
