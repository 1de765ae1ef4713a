"""Realistic hits, as ingest ships them: real ad units with their shares, real browsers, visitors who come back.

A Zipf-like crowd (visitor of rank r with weight 1/(r + 10)) sees ad units with the shares that they have in the Open
Bandit Dataset; of two hundred hits one is a click on what the visitor has seen, of a thousand one a conversion.
"""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import NamedTuple

import msgspec
import numpy as np

from local.impressions import read
from local.traffic import ADVERTISER
from local.visitors import addresses, agents
from pixeltally.hit import Hit
from pixeltally.identity import visitor_number
from pixeltally.packed import MESSAGE_LINES
from pixeltally.partition import key, partitions

VISITORS = 60_000
UNITS = 240
CLICK_SHARE = 0.005
CONVERSION_SHARE = 0.001

#: A click follows what was seen so many hits before.
_SEEN_BEFORE = 500
_CHUNK = 100_000
_POSITIONS = {1: "left", 2: "center", 3: "right"}
_REFERERS = ("https://news.example/", "https://mail.example/inbox", "https://weather.example/tokyo")

#: What `again` puts other bytes in the place of.
_ROUND = b"-0000"
_NODE = b"bench-0000"

_ID = b"%08x-%04x-7%b-8%b" + _ROUND + b"%b"
_IMPRESSION = b'{"id":"%b","ts":%d,"kind":"impression",%b%d,"node":"' + _NODE + b'","seq":%d,%b%b,"params":{"n":"%d"}}'

#: Where a line's time stands, and what its digits are worth.
_TIME_AT = len('{"id":"00000000-0000-7000-8000-000000000000","ts":')
_TENS = 10 ** np.arange(12, -1, -1)

_encode = msgspec.json.Encoder().encode


class Unit(NamedTuple):
    """An ad unit, and its part of a line before the visitor and after the place."""

    campaign: str
    creative: str
    placement: str
    head: bytes
    tail: bytes


class Browser(NamedTuple):
    """Where a visitor's requests come from, and that as part of a line."""

    ip: str
    user_agent: str
    referer: str
    text: bytes


class Traffic:
    """A crowd and what it sees, the same for the same seed; each call of `messages` goes on where the last ended."""

    def __init__(self, visitors: int = VISITORS, each_once: bool = False) -> None:
        """`each_once`: every visitor comes once, save who clicks, instead of by its weight."""
        self._random = np.random.default_rng(1)
        self._units, self._shares = _units()
        self._campaigns = sorted({unit.campaign for unit in self._units})
        self._campaign_of = np.array([self._campaigns.index(unit.campaign) for unit in self._units])
        self._numbers = [visitor_number(b"bench", str(rank)) for rank in range(visitors)]
        self._browsers = _browsers(min(visitors, VISITORS))
        weights = np.cumsum(1 / (np.arange(visitors) + 10))
        self._weights = None if each_once else weights / weights[-1]
        self._seq = 0
        self._clicks: deque[Hit] = deque(maxlen=100)

    def messages(
        self, count: int, start_ms: int, span_ms: int, partition_count: int = 4
    ) -> Iterator[tuple[int, bytes]]:
        """`count` hits, evenly over `span_ms`, as (partition, value) of up to a thousand lines each, in order."""
        waiting: list[list[bytes]] = [[] for _ in range(partition_count)]
        for done in range(0, count, _CHUNK):
            size = min(_CHUNK, count - done)
            times = start_ms + (np.arange(done, done + size) * span_ms) // count
            for partition, line in self._lines(times, partition_count):
                lines = waiting[partition]
                lines.append(line)
                if len(lines) == MESSAGE_LINES:
                    yield partition, b"\n".join(lines)
                    lines.clear()
        for partition, lines in enumerate(waiting):
            if lines:
                yield partition, b"\n".join(lines)

    def _lines(self, times: np.ndarray, partition_count: int) -> Iterator[tuple[int, bytes]]:
        size = len(times)
        units = np.searchsorted(self._shares, self._random.random(size))
        who = self._who(size)
        drawn = self._random.random(size)
        kinds = np.where(drawn < CLICK_SHARE, 1, np.where(drawn < CLICK_SHARE + CONVERSION_SHARE, 2, 0))
        followers = np.flatnonzero(kinds[_SEEN_BEFORE:]) + _SEEN_BEFORE
        units[followers], who[followers] = units[followers - _SEEN_BEFORE], who[followers - _SEEN_BEFORE]
        chosen = self._partitions(units, who, partition_count)
        free = self._random.bytes(7 * size).hex().encode()
        rows = zip(times.tolist(), units.tolist(), who.tolist(), kinds.tolist(), chosen, strict=True)
        for row, (ts, unit_number, visitor, kind, partition) in enumerate(rows):
            self._seq += 1
            unit, number = self._units[unit_number], self._numbers[visitor]
            browser = self._browsers[visitor % len(self._browsers)]
            at = row * 14
            id = _ID % (ts >> 16, ts & 0xFFFF, free[at : at + 3], free[at + 3 : at + 6], free[at + 6 : at + 14])
            if kind == 1:
                line = _encode(self._click(id.decode(), ts, unit, number, browser))
            elif kind == 2:
                line = _encode(self._order(id.decode(), ts, unit, number))
            else:
                line = _IMPRESSION % (id, ts, unit.head, number, self._seq, unit.tail, browser.text, self._seq)
            yield partition, line

    def _who(self, size: int) -> np.ndarray:
        if self._weights is None:
            return np.arange(self._seq, self._seq + size) % len(self._numbers)
        return np.searchsorted(self._weights, self._random.random(size))

    def _partitions(self, units: np.ndarray, who: np.ndarray, count: int) -> list[int]:
        pairs, places = np.unique(self._campaign_of[units] * len(self._numbers) + who, return_inverse=True)
        keys = [
            key(ADVERTISER, self._campaigns[campaign], self._numbers[visitor])
            for campaign, visitor in zip(*(part.tolist() for part in divmod(pairs, len(self._numbers))), strict=True)
        ]
        return np.array(partitions(keys, count))[places].tolist()  # type: ignore[no-any-return]

    def _click(self, id: str, ts: int, unit: Unit, visitor: int, browser: Browser) -> Hit:
        hit = Hit(
            id=id, ts=ts, kind="click", advertiser=ADVERTISER, campaign=unit.campaign,
            visitor=visitor, node=_NODE.decode(), seq=self._seq, creative=unit.creative, placement=unit.placement,
            ip=browser.ip, user_agent=browser.user_agent, referer=browser.referer,
            params={"to": f"https://shop.example/{unit.creative}", "n": str(self._seq)},
        )  # fmt: skip
        self._clicks.append(hit)
        return hit

    def _order(self, id: str, ts: int, unit: Unit, visitor: int) -> Hit:
        """A conversion; every other one says which click it came from."""
        named = self._clicks[0] if self._clicks and self._seq % 2 else None
        return Hit(
            id=id, ts=ts, kind="conversion", advertiser=ADVERTISER,
            campaign=unit.campaign, visitor=visitor, node=_NODE.decode(), seq=self._seq, order=f"order-{self._seq}",
            value=f"{self._seq % 20_000 / 100:.2f}", currency="EUR", click_id=named.id if named else "",
        )  # fmt: skip


def again(value: bytes, number: int, later_ms: int) -> bytes:
    """The same hits once more, so much later: as another node ships them, with ids of their own."""
    value = value.replace(_NODE, b"bench-%04x" % number).replace(_ROUND, b"-%04x" % number)
    text = np.frombuffer(value, np.uint8).copy()
    starts = np.append(0, np.flatnonzero(text == ord("\n")) + 1)
    digits = starts[:, np.newaxis] + np.arange(_TIME_AT, _TIME_AT + len(_TENS))
    times = (text[digits] - ord("0")) @ _TENS + later_ms
    text[digits] = times[:, np.newaxis] // _TENS % 10 + ord("0")
    return text.tobytes()


def _units() -> tuple[list[Unit], np.ndarray]:
    """The ad units seen most, and their cumulated shares."""
    seen = Counter((each.campaign, f"item-{each.item}", _POSITIONS[each.position]) for each in read())
    units = []
    for campaign, creative, placement in (name for name, _ in seen.most_common(UNITS)):
        head = f'"advertiser":"{ADVERTISER}","campaign":"{campaign}","visitor":'
        tail = f'"creative":"{creative}","placement":"{placement}",'
        units.append(Unit(campaign, creative, placement, head.encode(), tail.encode()))
    counts = np.cumsum([count for _, count in seen.most_common(UNITS)])
    return units, counts / counts[-1]


def _browsers(count: int) -> list[Browser]:
    random = Random(1)  # noqa: S311
    found = []
    for ip, agent in islice(zip(addresses(random), agents(random), strict=False), count):
        referer = _REFERERS[len(ip) % len(_REFERERS)]
        text = b'"ip":%b,"user_agent":%b,"referer":%b' % (_encode(ip), _encode(agent), _encode(referer))
        found.append(Browser(ip, agent, referer, text))
    return found
