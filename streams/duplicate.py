"""Marks duplicates: a request less than the window away from a counted one of the same pixel and visitor.

Rule: MRC, Viewable Ad Impression Measurement Guidelines, "duplicate" counting; the window is a setting. Clicks are
judged among clicks, and a request is judged in the order of arrival: two requests less than a window apart, in
whatever order their times stand, are never both counted. A conversion that names its order is judged by that alone:
an order converts once, however long ago it is remembered. Nobody's requests are no duplicates of each other, and
invalid traffic is neither counted nor a duplicate.

The latest counted request of a pixel stands in the pixel's row: what is later by a window or more, as nearly all is, is
near to none. Those before it, where there are any, stand in a table by pixel and by what multiple of the window their
time is: no two are in the same place, and what is near is in the same place or in one beside it.
"""

from collections.abc import Sequence

import numpy as np

from pixeltally.compiled import Array, compiled, inlined
from streams.hits import Hits
from streams.table import Table, bring_slot_near, enter, find
from streams.visits import OLDER

#: A pixel's columns: the latest time of a counted request, and whether there were others.
LATEST, MANY = 3, 4

#: The column of those others.
_TIME = 2


class Duplicates:
    """What was counted of the pixels that are remembered."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._young, self._old = Table(3), Table(3)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def turn(self, spans: int) -> None:
        """Move on by so many spans, as the pixels do."""
        if spans:
            self._young, self._old = Table(3), self._young if spans == 1 else Table(3)

    def mark(self, hits: Hits, others: Sequence[int], verdicts: Array) -> Array:
        """Which hits are duplicates, of those that are valid (verdict 0); `others` are judged elsewhere."""
        pixels, result = _without(hits.pixels, others), np.zeros(len(hits), bool)
        young, old, visits = self._young, self._old, hits.visits
        young.make_room(len(hits))
        _mark(
            pixels, hits.times, verdicts, self._window_ms, visits.young.rows, visits.old.rows,
            young.slots, young.rows, young.size, old.slots, old.rows, result,
        )  # fmt: skip
        return result

    def recall(self, hits: Hits, others: Sequence[int], verdicts: Array, duplicates: Array) -> None:
        """Remember what was counted: what is valid (verdict 0) and no duplicate, `others` apart."""
        pixels, young, rows = _without(hits.pixels, others), self._young, hits.visits.young.rows
        young.make_room(len(hits))
        _recall(pixels, hits.times, verdicts, duplicates, self._window_ms, rows, young.slots, young.rows, young.size)


def _without(pixels: Array, others: Sequence[int]) -> Array:
    if not others:
        return pixels
    rest = pixels.copy()
    rest[others] = -1
    return rest


@inlined
def _is_near(rows: Array, row: int, slots: Array, others: Array, ts: int, window_ms: int) -> bool:
    """Whether a counted request of the pixel in this row is near in time."""
    latest = rows[row, LATEST]
    if latest != 0 and abs(ts - latest) < window_ms:
        return True
    if rows[row, MANY] != 0 and ts < latest:
        place = ts // window_ms
        for near in range(place - 1, place + 2):
            other = find(slots, others, row, near)
            if other >= 0 and abs(ts - others[other, _TIME]) < window_ms:
                return True
    return False


@inlined
def _count(rows: Array, row: int, slots: Array, others: Array, size: Array, ts: int, window_ms: int) -> None:
    """Remember a counted request of the pixel in this row."""
    latest = rows[row, LATEST]
    if latest != 0 and window_ms > 0:
        rows[row, MANY] = 1
        earlier = min(ts, latest)
        others[enter(slots, others, size, row, earlier // window_ms), _TIME] = earlier
    rows[row, LATEST] = max(ts, latest)


@inlined
def _bring_near(pixels: Array, times: Array, window_ms: int, rows: Array, slots: Array) -> None:
    """Have the processor fetch where `_count` will enter the pixels' requests."""
    for index in range(pixels.size):
        row = pixels[index]
        if row >= 0 and rows[row, LATEST] != 0 and window_ms > 0:
            bring_slot_near(slots, row, min(times[index], rows[row, LATEST]) // window_ms)


@compiled
def _mark(
    pixels: Array, times: Array, verdicts: Array, window_ms: int, rows: Array, old_rows: Array,
    slots: Array, others: Array, size: Array, old_slots: Array, old_others: Array, result: Array,
) -> None:  # fmt: skip
    _bring_near(pixels, times, window_ms, rows, slots)
    for index in range(pixels.size):
        row, ts = pixels[index], times[index]
        if row < 0 or verdicts[index] != 0:
            continue
        older = rows[row, OLDER] - 1
        if _is_near(rows, row, slots, others, ts, window_ms) or (
            older >= 0 and _is_near(old_rows, older, old_slots, old_others, ts, window_ms)
        ):
            result[index] = True
        else:
            _count(rows, row, slots, others, size, ts, window_ms)


@compiled
def _recall(
    pixels: Array, times: Array, verdicts: Array, duplicates: Array, window_ms: int, rows: Array,
    slots: Array, others: Array, size: Array,
) -> None:  # fmt: skip
    for index in range(pixels.size):
        if pixels[index] >= 0 and verdicts[index] == 0 and not duplicates[index]:
            _count(rows, pixels[index], slots, others, size, times[index], window_ms)
