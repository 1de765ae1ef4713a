"""Joins a click to the impression that it followed, and a conversion that names no click to the click.

That is the latest one of the same visitor no more than the window before: for a click of the same ad unit, for a
conversion of the same campaign. One that comes late (another node was away) corrects what was said before it came.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from pixeltally.compiled import Array
from pixeltally.hit import Fact, Hit
from streams.hits import Hits
from streams.trail import WIDTH, Follower, Leader, Trail
from streams.visits import Visits

_decode = msgspec.json.Decoder(Fact).decode
_encode = msgspec.json.Encoder().encode


class Correction(NamedTuple):
    """A fact that must be said again."""

    fact: Fact
    line: bytes
    first: bool  #: whether it followed nothing before


class Attribution:
    """The trails of one partition."""

    def __init__(self, pixels: Visits, span_ms: int, window_ms: int) -> None:
        self._people = Visits(WIDTH, span_ms)
        self._clicks = Trail(pixels, span_ms, window_ms)
        self._conversions = Trail(self._people, span_ms, window_ms)

    def __len__(self) -> int:
        return len(self._clicks) + len(self._conversions) + len(self._people)

    def turn(self, arrived_ms: int, spans: int) -> None:
        """Move on to the time of arrival `arrived_ms`, by so many spans, as the pixels do."""
        self._people.turn(arrived_ms)
        self._clicks.turn(arrived_ms, spans)
        self._conversions.turn(arrived_ms, spans)

    def join(self, hits: Hits, version: int) -> tuple[dict[int, Leader], list[Correction]]:
        """Whom which hit follows, by its index, and what these hits correct. A hit without a pixel is passed over."""
        latest = {follower.id: (follower, leader) for follower, leader in self._lead(hits)}
        corrections = [_corrected(follower, leader, version) for follower, leader in latest.values()]
        leaders = {}
        for index, trail, key in self._followers(hits):
            leader = trail.leader(key, int(hits.times[index]))
            if leader is not None:
                leaders[index] = leader
        return leaders, corrections

    def first_ms(self, hits: Hits, index: int) -> int:
        """The time of the earliest impression of a click's ad unit and visitor. Raises ValueError without any."""
        return self._clicks.earliest_ms(hits.images_pixel(index))

    def remember(self, hits: Hits, leaders: Mapping[int, Leader], fact: Callable[[int], bytes]) -> None:
        """Remember the facts, by index, of those that may have to be said again."""
        for index, trail, key in self._followers(hits):
            hit = hits.actions[index]
            trail.follow(key, Follower(hit.ts, hit.id, leaders.get(index), fact(index)))

    def recall(self, hits: Hits, fact: Callable[[int], bytes]) -> dict[int, Leader]:
        """Take up what one message of facts, without its corrections, says; whom which fact follows, by its index."""
        self._lead(hits)
        leaders = {index: leader for index, hit in hits.actions.items() if (leader := _leader_of(hit)) is not None}
        self.remember(hits, leaders, fact)
        return leaders

    def recall_correction(self, hits: Hits, index: int, line: bytes) -> bool:
        """Take up a correction; whether it may have followed nothing before."""
        fact = hits.actions[index]
        for trail, key in self._place(hits, index):
            follower = trail.find(key, fact.id)
            if follower is not None:
                first = follower.leader is None
                follower.leader, follower.fact = _leader_of(fact), line
                return first
        return True

    def _lead(self, hits: Hits) -> list[tuple[Follower, Leader]]:
        """Remember impressions and clicks; whom they overtake."""
        overtaken = self._lead_all(self._clicks, hits, slice(None), hits.images)
        clicks = [index for index, hit in hits.actions.items() if hit.kind == "click" and hits.pixels[index] >= 0]
        if clicks:
            people = [self._people.enter_one(int(hits.visitors[i]), int(hits.campaigns[i])) for i in clicks]
            overtaken += self._lead_all(self._conversions, hits, clicks, np.array(people))
        return overtaken

    def _lead_all(
        self, trail: Trail, hits: Hits, indexes: slice | list[int], keys: Array
    ) -> list[tuple[Follower, Leader]]:
        found = trail.lead(keys, hits.times[indexes], np.ascontiguousarray(hits.ids[:, indexes]))
        if not found:
            return []
        leaders = [(int(hits.times[index]), hits.id(index)) for index in np.arange(len(hits))[indexes][found]]
        return list(trail.overtaken(keys[found], leaders))

    def _followers(self, hits: Hits) -> Iterator[tuple[int, Trail, int]]:
        for index in hits.actions:
            for trail, key in self._place(hits, index):
                yield index, trail, key

    def _place(self, hits: Hits, index: int) -> Sequence[tuple[Trail, int]]:
        """Which trail a click or conversion may follow, and the row of its key there."""
        hit = hits.actions[index]
        if hits.pixels[index] < 0:
            return ()
        if hit.kind == "click":
            return ((self._clicks, hits.images_pixel(index)),)
        if hit.click_id and not _leader_of(hit):
            return ()
        key = self._people.enter_one(int(hits.visitors[index]), int(hits.campaigns[index]))
        return ((self._conversions, key),)


def joined(hit: Hit, leader: Leader) -> bytes:
    """What the hit's fact says of its leader, as members of its JSON."""
    ts, id = leader
    names = (b"impression_id", b"seconds_to_click") if hit.kind == "click" else (b"click_id", b"seconds_to_conversion")
    return b',"%b":"%b","%b":%b' % (names[0], id.encode(), names[1], _encode((hit.ts - ts) / 1000))


def _leader_of(hit: Hit) -> Leader | None:
    """Whom a fact says that it follows."""
    if not isinstance(hit, Fact):
        return None
    if hit.kind == "click" and hit.impression_id:
        return hit.ts - round(hit.seconds_to_click * 1000), hit.impression_id
    if hit.kind == "conversion" and hit.seconds_to_conversion is not None:
        return hit.ts - round(hit.seconds_to_conversion * 1000), hit.click_id
    return None


def _corrected(follower: Follower, leader: Leader, version: int) -> Correction:
    """The follower's fact with another leader, which is remembered."""
    fact, first = _decode(follower.fact), follower.leader is None
    ts, id = leader
    seconds = (follower.ts - ts) / 1000
    fact.version = version
    if fact.kind == "click":
        fact.impression_id, fact.seconds_to_click = id, seconds
    else:
        fact.click_id, fact.seconds_to_conversion = id, seconds
    follower.leader, follower.fact = leader, _encode(fact)
    return Correction(fact, follower.fact, first)
