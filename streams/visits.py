"""Rows of what is remembered of visitors: found by a key, for one span of arrival time at least and two at most.

As `streams.memory`, for compiled loops. Each rule has its own columns; zero is nothing.
"""

from pixeltally.compiled import Array, Number, compiled, inlined
from streams.table import Table, enter, find

#: The row's number in the span before, plus one.
OLDER = 2


class Visits:
    """The rows that this span's messages asked for are in `young`, those of the one before in `old`."""

    def __init__(self, width: int, span_ms: int) -> None:
        self.young = Table(width)
        self.old = Table(width)
        self._width = width
        self._span_ms = span_ms
        self._span = 0

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def turn(self, arrived_ms: int) -> int:
        """Move on to the span that `arrived_ms` lies in; by how many spans. It never moves back."""
        spans = max(arrived_ms // self._span_ms - self._span, 0)
        if spans:
            self.old = self.young if spans == 1 else Table(self._width)
            self.young = Table(self._width)
            self._span += spans
        return spans

    def enter_one(self, key_a: int, key_b: int) -> int:
        """The number of the young row with this key."""
        self.young.make_room(1)
        young, old = self.young, self.old
        return int(_visit(young.slots, young.rows, young.size, old.slots, old.rows, key_a, key_b))


@inlined
def visit(slots: Array, rows: Array, size: Array, old_slots: Array, old_rows: Array, key_a: int, key_b: int) -> Number:
    """The number of the young row with this key; -1 where one part of it is zero."""
    if key_a == 0 or key_b == 0:
        return -1
    known = size[0]
    row = enter(slots, rows, size, key_a, key_b)
    if row == known:
        rows[row, OLDER] = find(old_slots, old_rows, key_a, key_b) + 1
    return row


@compiled
def _visit(slots: Array, rows: Array, size: Array, old_slots: Array, old_rows: Array, key_a: int, key_b: int) -> Number:
    return visit(slots, rows, size, old_slots, old_rows, key_a, key_b)
