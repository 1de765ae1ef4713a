"""A table finds what was entered, however it grows and whatever is forgotten."""

import numpy as np
import pytest

from streams.table import Table, with_room


@pytest.mark.parametrize("count", [1, 1024, 1025, 40_000])
def test_rows_stay_what_they_are_while_others_come(count):
    table, keys = Table(3), [(number * 7, -number) for number in range(count)]
    for number, (a, b) in enumerate(keys):
        assert table.enter(a, b) == number
        table.rows[number, 2] = number
    assert len(table) == count
    assert table.rows[:count].tolist() == [[a, b, number] for number, (a, b) in enumerate(keys)]
    assert [table.find(a, b) for a, b in keys] == [table.enter(a, b) for a, b in keys] == [*range(count)]
    assert table.find(1, 1) == -1


@pytest.mark.parametrize("count", [1, 3000, 40_000])
def test_what_is_kept_is_found_under_its_new_number_and_the_rest_is_gone(count):
    table = Table(3)
    for number in range(count):
        row = table.enter(number, 5)
        table.rows[row, 2] = number
    kept = np.arange(count) % 3 == 0
    table.keep(kept)
    left = range(0, count, 3)
    assert table.rows[: len(table)].tolist() == [[number, 5, number] for number in left]
    assert [table.find(number, 5) for number in range(count)] == [-1 if at % 3 else at // 3 for at in range(count)]
    row = table.enter(count, 5)
    assert table.rows[row].tolist() == [count, 5, 0]


def test_rows_have_room_for_what_is_needed():
    rows = np.arange(20).reshape(10, 2)
    assert with_room(rows, 4, 10) is rows
    more = with_room(rows, 4, 11)
    assert len(more) >= 11
    assert more[:4].tolist() == rows[:4].tolist()
    assert more.ctypes.data % 64 == 0
