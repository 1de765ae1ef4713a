"""Counts again, from what was sent, what the stack should have counted. Shares no code with it. No I/O."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from local.traffic import Kind, Request

#: Requests for an ad unit's image.
IMAGES: tuple[Kind, ...] = ("impression", "open")


@dataclass(frozen=True)
class Sent:
    """What left, as an exact count must show it."""

    hits: Counter[Kind]
    visitors: int  #: distinct ones that asked for an image: subscribers where they are named, else addresses


def sent(requests: Iterable[Request]) -> Sent:
    """Sum up the requests that were sent."""
    hits: Counter[Kind] = Counter()
    visitors = set()
    for request in requests:
        hits[request.kind] += 1
        if request.kind in IMAGES:
            visitors.add(request.visitor.name)
    return Sent(hits, len(visitors))


def duplicates(requests: Sequence[Request], arrivals: Iterable[tuple[int, int]], window_ms: int) -> int:
    """How many requests a counted one of the same ad unit and visitor preceded by less than the window.

    `requests` by their number; `arrivals` are (number, epoch milliseconds) in order of arrival, either all
    images or all clicks.
    """
    counted_ms: dict[tuple[str, str], int] = {}
    found = 0
    for n, at_ms in arrivals:
        place = requests[n].unit, requests[n].visitor.name
        last_ms = counted_ms.get(place)
        if last_ms is not None and at_ms - last_ms < window_ms:
            found += 1
        else:
            counted_ms[place] = at_ms
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
