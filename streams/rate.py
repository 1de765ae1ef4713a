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

import numpy as np

from pixeltally.compiled import Array, compiled
from streams.hits import Hits
from streams.memory import Memory
from streams.table import bring_near, find
from streams.visits import OLDER, Visits, visit

RATE, BURST = "rate", "burst"

MINUTE_MS = 60_000
SECOND_MS = 1000

#: Counted requests of a visitor in one minute of the hits' own time that are nothing special.
MOST_A_MINUTE = 1000

#: In one second; the first so many of a minute aside.
MOST_A_SECOND = 200

#: Columns of a visitor's minute: how many requests were counted, and over which limit the visitor is.
_COUNT, _OVER = 3, 4
_REASONS = ("", BURST, RATE)


class Rates:
    """What visitors were counted for, as far as it arrived in this minute of arrival or the last."""

    def __init__(self) -> None:
        self._minutes = Visits(5, MINUTE_MS)
        self._seconds: Memory[tuple[int, ...], int] = Memory(MINUTE_MS)  #: of visitors with many
        self._anybody_over = False

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        self._seconds.turn(arrived_ms)
        if self._minutes.turn(arrived_ms):
            self._anybody_over = bool(self._minutes.old.rows[: len(self._minutes.old), _OVER].any())

    def over(self, hits: Hits) -> dict[int, str]:
        """Whose requests of a message are over a limit, by index, and which."""
        if not self._anybody_over:
            return {}
        found = np.zeros(len(hits), np.int64)
        young, old = self._minutes.young, self._minutes.old
        _over(hits.visitors, _minutes(hits.campaigns, hits.times), young.slots, young.rows, old.slots, old.rows, found)
        return {index: _REASONS[found[index]] for index in np.flatnonzero(found).tolist()}

    def count(self, hits: Hits, verdicts: Array, duplicates: Array) -> None:
        """Count in a message's requests, nobody's apart, that are valid (verdict 0) and no duplicates."""
        young, old, rows = self._minutes.young, self._minutes.old, np.empty(len(hits), np.int64)
        young.make_room(len(hits))
        highest = _count(
            hits.visitors, hits.campaigns, hits.times, hits.pixels, verdicts, duplicates,
            young.slots, young.rows, young.size, old.slots, old.rows, rows,
        )  # fmt: skip
        if highest > MOST_A_SECOND:
            self._look_closer(rows, hits.times)

    def _look_closer(self, rows: Array, times: Array) -> None:
        """Count seconds of those who have asked for many, and find who is over a limit."""
        young, old = self._minutes.young.rows, self._minutes.old.rows
        for number, ts in zip(rows.tolist(), times.tolist(), strict=True):
            if number < 0:
                continue
            row = young[number]
            count = int(row[_COUNT]) + (int(old[row[OLDER] - 1, _COUNT]) if row[OLDER] else 0)
            if count <= MOST_A_SECOND:
                continue
            second = (*row[:2].tolist(), ts // SECOND_MS)
            self._seconds.young[second] = self._seconds.young.get(second, 0) + 1
            if count > MOST_A_MINUTE:
                row[_OVER] = _REASONS.index(RATE)
            elif self._seconds.young[second] + self._seconds.old.get(second, 0) > MOST_A_SECOND:
                row[_OVER] = row[_OVER] or _REASONS.index(BURST)
            self._anybody_over = self._anybody_over or row[_OVER] != 0


def _minutes(campaigns: Array, times: Array) -> Array:
    """A campaign's minute, as one number."""
    return np.asarray(campaigns << 32 | times // MINUTE_MS)


@compiled
def _count(
    visitors: Array, campaigns: Array, times: Array, pixels: Array, verdicts: Array, duplicates: Array,
    slots: Array, rows: Array, size: Array, old_slots: Array, old_rows: Array, out: Array,
) -> int:  # fmt: skip
    """Count a message's requests in, and put their rows into `out`; the highest count among their visitors."""
    highest = 0
    for index in range(times.size):
        out[index] = campaigns[index] << 32 | times[index] // MINUTE_MS
    bring_near(slots, rows, visitors, out)
    for index in range(times.size):
        minute, out[index] = out[index], -1
        if pixels[index] >= 0 and verdicts[index] == 0 and not duplicates[index]:
            number = visit(slots, rows, size, old_slots, old_rows, visitors[index], minute)
            rows[number, _COUNT] += 1
            older = rows[number, OLDER] - 1
            highest = max(highest, rows[number, _COUNT] + (old_rows[older, _COUNT] if older >= 0 else 0))
            out[index] = number
    return highest


@compiled
def _over(
    visitors: Array, minutes: Array, slots: Array, rows: Array, old_slots: Array, old_rows: Array, found: Array
) -> None:
    for index in range(visitors.size):
        row = find(slots, rows, visitors[index], minutes[index])
        if row >= 0:
            found[index] = rows[row, _OVER]
        older = find(old_slots, old_rows, visitors[index], minutes[index])
        if older >= 0 and old_rows[older, _OVER] != 0:
            found[index] = old_rows[older, _OVER]
