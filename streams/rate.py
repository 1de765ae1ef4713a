"""Visitors that ask for more than people do: too much of a campaign within a minute, or within a second.

Rule: MRC IVT guidelines, activity-based filtration. Only what would be counted is judged: a request that is valid and
no duplicate. What is over a limit is not counted in, so it takes no part in judging the next.

The limits, and why no office or phone network meets them. A reload is a duplicate, so what is left of a visitor's
minute is about the number of different ad units seen. Who opens a page every five seconds, with five ad units of one
campaign on each and never the same, makes 60 in a minute. A carrier-grade NAT cuts an address's 65,536 ports into
blocks, one a subscriber (RFC 7422); at 500 ports each, 128 subscribers share an address, and if a tenth of them were on
such pages in the same minute, they would make 780: the limit is 1,000. If those thirteen opened, in the same second, a
page with a dozen ad units of the campaign each, they would make 156: the limit is 200. Relays and companies' security
services put more people than that behind an address: they are not judged.
"""

from collections.abc import Hashable

from streams.memory import Memory

RATE, BURST = "rate", "burst"

MINUTE_MS = 60_000
SECOND_MS = 1000

#: Requests of a visitor that are counted in one minute of the hits' own time.
MOST_A_MINUTE = 1000

#: So many counted requests in a row take a second or longer; rows begin with the second request of a minute.
MOST_A_SECOND = 200

#: What is remembered of a visitor's minute in one number: how many were counted, and above it when the row began.
_BITS = 16
_COUNT = (1 << _BITS) - 1


class Rates:
    """What visitors were counted for in each minute, as far as it arrived in this minute of arrival or the last."""

    def __init__(self) -> None:
        self._minutes: Memory[int, dict[Hashable, int]] = Memory(MINUTE_MS)
        self._minute = -1
        self._young: dict[Hashable, int] = {}
        self._old: dict[Hashable, int] = {}

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        if self._minutes.turn(arrived_ms):
            self._minute = -1

    def count(self, visitor: Hashable, ts_ms: int) -> str:
        """Count a request in that is valid and no duplicate; or the reason for which it is over a limit.

        `visitor`: whatever tells visitors of the campaigns apart.
        """
        minute = ts_ms // MINUTE_MS
        if minute != self._minute:
            self._open(minute)
        known = self._young.get(visitor, 0)
        count = known & _COUNT
        if count + (self._old.get(visitor, 0) & _COUNT if self._old else 0) >= MOST_A_MINUTE:
            return RATE
        if count % MOST_A_SECOND == 1:
            began_ms, now_ms = known >> _BITS, ts_ms % MINUTE_MS
            if count > 1 and abs(now_ms - began_ms) < SECOND_MS:
                return BURST
            known = now_ms << _BITS | count
        self._young[visitor] = known + 1
        return ""

    def _open(self, minute: int) -> None:
        self._minute = minute
        self._young = self._minutes.young.setdefault(minute, {})
        self._old = self._minutes.old.get(minute, {})
