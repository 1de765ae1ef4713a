"""The demo's own count of what ought to be in ClickHouse."""

import pytest

from local.recount import Sent, duplicates, percentile, sent
from local.traffic import Request
from local.visitors import Visitor

ANN, BEN = Visitor("93.184.215.14", "Agent/1.0"), Visitor("2400::1", "Agent/2.0")
EVE, FAY = (Visitor("93.184.215.14", "Agent/1.0", name) for name in ("eve", "fay"))


def test_sent_counts_visitors_of_images_only() -> None:
    requests = [
        Request(0, 0, "impression", "a/b/c", ANN),
        Request(1, 1, "impression", "a/b/c", ANN),
        Request(2, 2, "click", "a/b/c", BEN),
        Request(3, 3, "open", "a/m/c", EVE),
        Request(4, 4, "open", "a/m/c", EVE._replace(ip="93.184.215.15")),
        Request(5, 5, "conversion", "a/m/c", FAY),
    ]
    assert sent(requests) == Sent({"impression": 2, "click": 1, "open": 2, "conversion": 1}, visitors=2)


@pytest.mark.parametrize(
    ("arrivals_ms", "expected"),
    [
        ([0, 59_999], 1),
        ([0, 60_000], 0),
        # The second is no counted one, so the third is a minute after the last that was.
        ([0, 40_000, 60_000], 1),
        ([0, 0, 0], 2),
    ],
)
def test_a_duplicate_follows_a_counted_one_by_less_than_the_window(arrivals_ms: list[int], expected: int) -> None:
    requests = [Request(n, 0, "impression", "a/b/c", ANN) for n in range(len(arrivals_ms))]
    assert duplicates(requests, enumerate(arrivals_ms), 60_000) == expected


def test_another_visitor_or_unit_is_no_duplicate() -> None:
    requests = [
        Request(0, 0, "impression", "a/b/c", ANN),
        Request(1, 0, "impression", "a/b/c", BEN),
        Request(2, 0, "impression", "a/b/c/left", ANN),
        Request(3, 0, "open", "a/b/c", EVE),
        Request(4, 0, "open", "a/b/c", EVE._replace(subscriber="fay")),
    ]
    assert duplicates(requests, [(n, n) for n in range(5)], 60_000) == 0
    assert duplicates(requests, [(n, n) for n in (3, 4, 3)], 60_000) == 1


def test_percentile() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([7], 99) == 7
