"""Who the demo's requests come from: browsers at addresses, some of which come back."""

import json
from collections import deque
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from itertools import accumulate
from random import Random
from typing import NamedTuple

#: Of a hundred impressions, how many are a visitor's first, and how many follow a reload of the same ad.
NEW_VISITORS_PERCENT = 40
RELOADS_PERCENT = 4
IPV6_PERCENT = 25

#: A visitor who stayed away for so many impressions does not come back: no one's count grows for ever.
REMEMBERED = 5_000

#: First parts of IPv4 addresses behind which no reserved range lies.
_PUBLIC_OCTETS = frozenset(range(1, 224)) - {10, 100, 127, 169, 172, 192, 198, 203}


class Visitor(NamedTuple):
    """A browser at an address."""

    ip: str
    user_agent: str
    subscriber: str = ""  #: as whom its requests name it

    @property
    def name(self) -> str:
        """Whom a count must tell from others."""
        return self.subscriber or self.ip


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
