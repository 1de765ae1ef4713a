"""Numbers of names: a forgotten name makes room, and its number isn't another's as long as anything holds it."""

from streams.registry import Numbers

SPAN_MS = 1000


def test_a_number_is_given_again_when_nothing_holds_it():
    numbers = Numbers(SPAN_MS)
    numbers.turn(5 * SPAN_MS)
    assert [numbers.enter((name,)) for name in ("a", "b", "a")] == [1, 2, 1]
    numbers.turn(6 * SPAN_MS)
    assert numbers.enter(("a",)) == 1
    numbers.turn(7 * SPAN_MS, held={2})
    assert [numbers.known((name,)) for name in ("a", "b")] == [1, 0]
    assert len(numbers) == 1
    assert numbers.enter(("c",)) == 3
    assert numbers.enter(("b",)) == 2, "its window is still open"
    numbers.turn(9 * SPAN_MS, held={3})
    assert len(numbers) == 0
    assert sorted(numbers.enter((name,)) for name in ("c", "d", "e")) == [1, 2, 3]
    assert numbers.known(("c",)) == 3
