"""Rows of numbers that are found by a key of two numbers, in compiled loops: open addressing, linear probing.

A row is new where nothing was entered under its key: then all but the key is zero. So zero means "nothing" in every
column. Rows keep their number, which others may hold. Compiled loops don't make room: whoever calls one does so first.
"""

import numpy as np

from pixeltally.compiled import Array, Number, compiled, inlined, prefetch

#: Columns of every table: its key.
KEY_A, KEY_B = 0, 1

_FIRST_ROWS = 1024

#: Up to so many rows are made ahead, sixteen times as many as are needed: memory that was not written to costs nothing.
_AHEAD_ROWS = 1 << 22

#: Numbers in one of the processor's lines of memory, of 64 bytes.
_LINE = 8


class Table:
    """The rows, and where they are: `slots` holds row numbers plus one, `size` how many rows there are."""

    def __init__(self, width: int) -> None:
        self.rows: Array = _rows(_FIRST_ROWS, width)
        self.slots: Array = np.zeros(2 * _FIRST_ROWS, np.int32)
        self.size: Array = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return int(self.size[0])

    def make_room(self, count: int) -> None:
        """See that `count` more rows fit."""
        size = int(self.size[0])
        needed = size + count
        self.rows = with_room(self.rows, size, needed)
        if 3 * needed > 2 * len(self.slots):
            self.slots = np.zeros(1 << (2 * needed).bit_length(), np.int32)
            _place_all(self.slots, self.rows, size)

    def find(self, key_a: int, key_b: int) -> Number:
        """The number of the row with this key; -1 where there is none."""
        return int(_find(self.slots, self.rows, key_a, key_b))

    def enter(self, key_a: int, key_b: int) -> Number:
        """The number of the row with this key, which may be new."""
        self.make_room(1)
        return int(_enter(self.slots, self.rows, self.size, key_a, key_b))

    def keep(self, kept: Array) -> None:
        """Forget all rows but those that `kept` says yes to; these are numbered anew, in order."""
        rows = self.rows[: len(self)][kept]
        self.size[0] = len(rows)
        self.rows = with_room(rows, len(rows), max(_FIRST_ROWS, len(rows) + 1))
        self.slots = np.zeros(1 << max(2 * _FIRST_ROWS, 2 * len(rows)).bit_length(), np.int32)
        _place_all(self.slots, self.rows, len(rows))


def with_room(rows: Array, size: int, needed: int) -> Array:
    """Rows for so many, of which the first `size` are these: the same where they are enough."""
    if needed <= len(rows):
        return rows
    more = _rows(max(2 * needed, min(16 * needed, _AHEAD_ROWS)), rows.shape[1])
    more[:size] = rows[:size]
    return more


def _rows(count: int, width: int) -> Array:
    """Rows from the start of one of the processor's lines of memory on: one of eight columns is such a line."""
    memory = np.empty(count * width + _LINE, np.int64)
    first = -memory.ctypes.data // memory.itemsize % _LINE
    return memory[first : first + count * width].reshape(count, width)


@inlined
def _slot(slots: Array, key_a: int, key_b: int) -> Number:
    """Where to look first."""
    mixed = (np.uint64(key_a) + np.uint64(key_b) * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return np.int64((mixed >> np.uint64(32)) & np.uint64(slots.size - 1))


@inlined
def find(slots: Array, rows: Array, key_a: int, key_b: int) -> Number:
    """The number of the row with this key; -1 where there is none."""
    at = _slot(slots, key_a, key_b)
    while True:
        row = np.int64(slots[at]) - 1
        if row < 0 or (rows[row, KEY_A] == key_a and rows[row, KEY_B] == key_b):
            return row
        at = (at + 1) & (slots.size - 1)


@inlined
def enter(slots: Array, rows: Array, size: Array, key_a: int, key_b: int) -> Number:
    """The number of the row with this key; what `size` was before, where it is new."""
    at = _slot(slots, key_a, key_b)
    while True:
        row = np.int64(slots[at]) - 1
        if row < 0:
            row = size[0]
            size[0] = row + 1
            slots[at] = row + 1
            for column in range(rows.shape[1]):
                rows[row, column] = 0
            rows[row, KEY_A] = key_a
            rows[row, KEY_B] = key_b
            return row
        if rows[row, KEY_A] == key_a and rows[row, KEY_B] == key_b:
            return row
        at = (at + 1) & (slots.size - 1)


@inlined
def bring_slot_near(slots: Array, key_a: int, key_b: int) -> None:
    """As `bring_near`, for one key and no row."""
    prefetch(slots, _slot(slots, key_a, key_b))


@inlined
def bring_near(slots: Array, rows: Array, keys_a: Array, keys_b: Array) -> None:
    """Have the processor fetch rows that are asked for next: it waits for many at once no longer than for one."""
    for index in range(keys_a.size):
        bring_slot_near(slots, keys_a[index], keys_b[index])
    for index in range(keys_a.size):
        row = np.int64(slots[_slot(slots, keys_a[index], keys_b[index])]) - 1
        if row >= 0:
            prefetch(rows, row)


@compiled
def _place_all(slots: Array, rows: Array, size: int) -> None:
    for row in range(size):
        at = _slot(slots, rows[row, KEY_A], rows[row, KEY_B])
        while slots[at] != 0:
            at = (at + 1) & (slots.size - 1)
        slots[at] = row + 1


@compiled
def _find(slots: Array, rows: Array, key_a: int, key_b: int) -> Number:
    return find(slots, rows, key_a, key_b)


@compiled
def _enter(slots: Array, rows: Array, size: Array, key_a: int, key_b: int) -> Number:
    return enter(slots, rows, size, key_a, key_b)
