"""Visitors that ask for more than people do: too much of a campaign within a minute, or within a second.

Rule: MRC IVT guidelines, activity-based filtration. Only what would be counted is judged: a request that is valid and
no duplicate. What is over a limit is not counted in, so it takes no part in judging the next.

The limits, and why nobody's office or phone network meets them. A reload is a duplicate, so what is left of a
visitor's minute is about the number of different ad units seen. Somebody who opens a page every five seconds with five
ad units of one campaign on each, never the same, makes 60 in a minute. RFC 7422 plans with a thousand ports a
subscriber, some 64 subscribers an address; a tenth of them on such pages in the same minute make 400. The limit is
1,000. In one second a page or newsletter full of ads makes perhaps 30, and seven people in the same second 200.
Relays and companies' security services put more people than that behind an address: they are not judged.
"""

from streams.memory import Memory

RATE, BURST = "rate", "burst"

MINUTE_MS = 60_000
SECOND_MS = 1000

#: Requests of a visitor that are counted in one minute of the hits' own time.
MOST_A_MINUTE = 1000

#: So many counted requests in a row, from the second of a minute on, take a second or longer.
MOST_A_SECOND = 200

#: What is remembered of a visitor's minute in one number: how many were counted, and above it when the row began.
_BITS = 16
_COUNT = (1 << _BITS) - 1


class Rates:
    """What visitors were counted for, minute by minute. What arrived more than four minutes ago is forgotten."""

    def __init__(self) -> None:
        self._minutes: Memory[int, dict[int, int]] = Memory(2 * MINUTE_MS)
        self._minute = -1
        self._counts: dict[int, int] = {}

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        if self._minutes.turn(arrived_ms):
            self._minute = -1

    def count(self, visitor: int, ts_ms: int) -> str:
        """Count a request in that is valid and no duplicate; or the reason for which it is over a limit.

        `visitor`: a number of the visitor and the campaign together.
        """
        minute = ts_ms // MINUTE_MS
        if minute != self._minute:
            self._open(minute)
        counts = self._counts
        known = counts.get(visitor)
        if known is None:
            counts[visitor] = 1
            return ""
        count = known & _COUNT
        if count >= MOST_A_MINUTE:
            return RATE
        if count % MOST_A_SECOND == 1:
            began_ms, now_ms = known >> _BITS, ts_ms % MINUTE_MS
            if count > 1 and abs(now_ms - began_ms) < SECOND_MS:
                return BURST
            known = now_ms << _BITS | count
        counts[visitor] = known + 1
        return ""

    def _open(self, minute: int) -> None:
        counts = self._minutes.get(minute)
        if counts is None:
            counts = {}
            self._minutes.put(minute, counts)
        self._minute, self._counts = minute, counts
