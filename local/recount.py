"""Counts again, from what was sent, what the stack should have counted. Shares no code with it. No I/O."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from local.traffic import Request


@dataclass(frozen=True)
class Sent:
    """What left, as an exact count must show it."""

    impressions: int
    clicks: int
    addresses: int  #: distinct addresses that asked for an image


def sent(requests: Iterable[Request]) -> Sent:
    """Sum up the requests that were sent."""
    impressions, clicks = 0, 0
    addresses = set()
    for request in requests:
        if request.click:
            clicks += 1
        else:
            impressions += 1
            addresses.add(request.visitor.ip)
    return Sent(impressions, clicks, len(addresses))


def duplicates(requests: Sequence[Request], arrivals: Iterable[tuple[int, int]], window_ms: int) -> int:
    """How many requests a counted one of the same ad unit and visitor preceded by less than the window.

    `requests` by their number; `arrivals` are (number, epoch milliseconds) in order of arrival, either all
    images or all clicks.
    """
    counted_ms: dict[tuple[str, str], int] = {}
    found = 0
    for n, at_ms in arrivals:
        place = requests[n].unit, requests[n].visitor.ip
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
