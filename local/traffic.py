"""Which requests the demo sends, and when: real impressions and clicks, by visitors who come back.

Everything follows from the seed, so that the plan can be walked again to say what ought to be counted.
"""

import heapq
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from itertools import accumulate, count, cycle, islice
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from local.impressions import Impression

ADVERTISER = "zozo"

#: Of a hundred impressions, how many are a visitor's first, and how many follow a reload of the same ad.
NEW_VISITORS_PERCENT = 40
RELOADS_PERCENT = 4
IPV6_PERCENT = 25

#: A visitor who stayed away for so many impressions does not come back: no one's count grows for ever.
REMEMBERED = 5_000

#: First parts of IPv4 addresses behind which no reserved range lies.
_PUBLIC_OCTETS = frozenset(range(1, 224)) - {10, 100, 127, 169, 172, 192, 198, 203}

_POSITIONS = {1: "left", 2: "center", 3: "right"}
_SITES = ("https://news.example/", "https://mail.example/inbox", "https://weather.example/tokyo")


class Visitor(NamedTuple):
    """A browser at an address."""

    ip: str
    user_agent: str


class Request(NamedTuple):
    """One request: number `n` (from 0, in order of sending), `at_s` seconds after the start."""

    n: int
    at_s: float
    click: bool
    unit: str  #: advertiser/campaign/creative/placement
    visitor: Visitor

    @property
    def target(self) -> str:
        """Where a click on this ad leads."""
        return f"https://shop.example/{self.unit.split('/')[2]}"


def plan(impressions: Sequence[Impression], rate: float, block_s: float, seed: str) -> Iterator[Request]:
    """Endless requests in order of time: `rate` impressions a second, and the clicks that follow them."""
    visitors = Visitors(Random(f"{seed} visitors"))  # noqa: S311
    delays = Random(f"{seed} delays")  # noqa: S311
    numbers = count()
    clicks: list[tuple[float, int, str, Visitor]] = []
    for order, (at_s, row) in enumerate(paced(impressions, rate, block_s)):
        while clicks and clicks[0][0] <= at_s:
            clicked_s, _, unit, visitor = heapq.heappop(clicks)
            yield Request(next(numbers), clicked_s, True, unit, visitor)
        unit = f"{ADVERTISER}/{row.campaign}/item-{row.item}/{_POSITIONS[row.position]}"
        visitor = visitors.sees(unit)
        yield Request(next(numbers), at_s, False, unit, visitor)
        if row.click:
            heapq.heappush(clicks, (at_s + click_delay_s(delays), order, unit, visitor))


def paced(impressions: Sequence[Impression], rate: float, block_s: float) -> Iterator[tuple[float, Impression]]:
    """The impressions over and over, each with the second it is due at.

    Every `block_s` seconds hold `rate * block_s` of them so that the rate is kept however
    short the run; within such a block the gaps are the real ones, speeded up.
    """
    rows = cycle(impressions)
    row = next(rows)
    for block in count():
        size = round(rate * block_s * (block + 1)) - round(rate * block_s * block)
        offsets_ms, taken = [0], [row]
        for row in islice(rows, size):
            # The step from the week's end back to its start is no gap.
            offsets_ms.append(offsets_ms[-1] + max(0, row.timestamp_ms - taken[-1].timestamp_ms))
            taken.append(row)
        for offset_ms, each in zip(offsets_ms[:-1], taken, strict=False):
            yield block_s * (block + offset_ms / offsets_ms[-1]), each


def block_s(seconds: float | None) -> float:
    """A block's length: ten seconds, or what divides the run into whole blocks close to that."""
    return 10.0 if seconds is None else seconds / max(1, round(seconds / 10))


def click_delay_s(random: Random) -> float:
    """Seconds from seeing an ad to the click: half within 6 s, one in a hundred over half a minute."""
    return min(300.0, max(0.5, random.lognormvariate(1.8, 0.75)))


class Visitors:
    """Who sees an ad next: someone new, someone of before (the more often, the likelier), or a reload.

    Copying an earlier impression's visitor makes frequencies heavy-tailed (Simon's model): with 40 % new,
    more than half see one ad, a sixth two, a handful hundreds.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._seen: deque[Visitor] = deque(maxlen=REMEMBERED)
        self._last_of: dict[str, Visitor] = {}
        self._addresses = addresses(random)
        self._agents = agents(random)

    def sees(self, unit: str) -> Visitor:
        """The visitor of the next impression of `unit`."""
        visitor = self._choose(unit)
        self._last_of[unit] = visitor
        self._seen.append(visitor)
        return visitor

    def _choose(self, unit: str) -> Visitor:
        chance = self._random.random() * 100
        if chance < RELOADS_PERCENT and unit in self._last_of:
            return self._last_of[unit]
        if chance < 100 - NEW_VISITORS_PERCENT and self._seen:
            return self._seen[int(self._random.random() * len(self._seen))]
        return Visitor(next(self._addresses), next(self._agents))


def addresses(random: Random) -> Iterator[str]:
    """Public addresses, none twice; each IPv6 one in a /64 of its own, as households have."""
    v4, v6 = (_shuffled(bits, random) for bits in (32, 44))
    while True:
        if random.random() * 100 < IPV6_PERCENT:
            yield str(IPv6Address((((0x2400 << 48) + next(v6)) << 64) + random.getrandbits(64)))
            continue
        yield str(IPv4Address(next(number for number in v4 if number >> 24 in _PUBLIC_OCTETS)))


def _shuffled(bits: int, random: Random) -> Iterator[int]:
    """Every number of so many bits once: an odd step round the circle of them misses none."""
    number, step = random.getrandbits(bits), random.getrandbits(bits) | 1
    while True:
        yield number
        number = (number + step) % 2**bits


def agents(random: Random) -> Iterator[str]:
    agents, shares = _browsers()
    while True:
        yield from random.choices(agents, cum_weights=shares, k=1000)


@cache
def _browsers() -> tuple[list[str], list[float]]:
    """Real browsers' user agents with their cumulated shares."""
    lines = files("fake_useragent").joinpath("data/browsers.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["useragent"] for row in rows], list(accumulate(row["percent"] for row in rows))


class Wire:
    """Writes requests as the bytes that a browser behind a proxy sends. `sign(unit, target)` signs clicks."""

    def __init__(self, host: str, run: str, sign: Callable[[str, str], str]) -> None:
        self._host = host
        self._run = run
        self._sign = cache(sign)

    def __call__(self, request: Request) -> bytes:
        """The whole request, HTTP/1.1 with keep-alive."""
        return (
            f"GET {self.path(request)} HTTP/1.1\r\n"
            f"Host: {self._host}\r\n"
            f"User-Agent: {request.visitor.user_agent}\r\n"
            f"X-Forwarded-For: {request.visitor.ip}\r\n"
            f"Accept: {'text/html' if request.click else 'image/avif,image/webp'},*/*;q=0.8\r\n"
            f"Accept-Encoding: gzip, deflate, br\r\n"
            f"Referer: {_SITES[len(request.visitor.ip) % len(_SITES)]}\r\n"
            "\r\n"
        ).encode()

    def path(self, request: Request) -> str:
        """Path and query; `demo` and `n` name the request among all that were ever sent."""
        mark = f"demo={self._run}&n={request.n}"
        if not request.click:
            return f"/p/{request.unit}.gif?{mark}"
        signature = self._sign(request.unit, request.target)
        return f"/c/{request.unit}?to={quote(request.target, safe='')}&k={signature}&{mark}"
