"""A worker that is fed something else than hits stops, and single bad lines don't stop it."""

import pytest

from streams.poison import LINES, Poison, Poisoned


def test_more_than_the_allowed_share_stops():
    poison = Poison(50)
    for _ in range(9):
        poison.note(LINES // 10, LINES // 20 + 1)
    with pytest.raises(Poisoned, match="5,010 of 10,000 lines"):
        poison.note(LINES // 10, LINES // 20 + 1)


@pytest.mark.parametrize(("most_percent", "dead"), [(50, LINES // 2), (100, LINES), (0, 0)])
def test_the_allowed_share_goes_on_and_is_counted_anew(most_percent, dead):
    poison = Poison(most_percent)
    for _ in range(3):
        poison.note(LINES, dead)


def test_few_lines_say_nothing():
    Poison(0).note(LINES - 1, LINES - 1)
