"""Joins a click to the impression that it followed, and a conversion that names no click to the click.

That is the latest one of the same visitor no more than the window before: for a click of the same ad unit, for a
conversion of the same campaign. One that comes late (another node was away) corrects what was said before it came.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from pixeltally.hit import Fact, Hit
from streams.columns import Columns
from streams.trail import Follower, Leader, Trail

_decode = msgspec.json.Decoder(Fact).decode
_encode = msgspec.json.Encoder().encode


class Correction(NamedTuple):
    """A fact that must be said again."""

    fact: Fact
    line: bytes
    first: bool  #: whether it followed nothing before


class Attribution:
    """The trails of one partition."""

    def __init__(self, span_ms: int, window_ms: int) -> None:
        self._clicks = Trail(span_ms, window_ms)
        self._conversions = Trail(span_ms, window_ms)

    def __len__(self) -> int:
        return len(self._clicks) + len(self._conversions)

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        self._clicks.turn(arrived_ms)
        self._conversions.turn(arrived_ms)

    def join(self, columns: Columns, version: int) -> tuple[dict[int, Leader], list[Correction]]:
        """Whom which hit follows, by its index, and what these hits correct. A hit without a pixel is passed over."""
        overtaken = self._lead(columns)
        latest = {follower.id: (follower, leader) for follower, leader in overtaken}
        corrections = [_corrected(follower, leader, version) for follower, leader in latest.values()]
        leaders = {}
        for index, trail, key in self._followers(columns):
            leader = trail.leader(key, columns.times[index])
            if leader is not None:
                leaders[index] = leader
        return leaders, corrections

    def first(self, pixel: int | None) -> Leader:
        """The earliest impression of this ad unit and visitor that is remembered. Raises ValueError where none is."""
        return self._clicks.first(pixel)

    def remember(self, columns: Columns, leaders: dict[int, Leader], facts: Sequence[bytes]) -> None:
        """Remember the facts of those that may have to be said again."""
        for index, trail, key in self._followers(columns):
            hit = columns.hits[index]
            trail.follow(key, Follower(hit.ts, hit.id, leaders.get(index), facts[index]))

    def recall(self, columns: Columns, facts: Sequence[Fact], lines: Sequence[bytes]) -> dict[int, Leader]:
        """Take up what one message of facts, without its corrections, says; whom which fact follows, by its index."""
        self._lead(columns)
        leaders = {index: leader for index in columns.actions if (leader := _leader_of(facts[index])) is not None}
        self.remember(columns, leaders, lines)
        return leaders

    def recall_correction(self, columns: Columns, fact: Fact, line: bytes) -> bool:
        """Take up a correction (the columns' only fact); whether it may have followed nothing before."""
        for _, trail, key in self._followers(columns):
            follower = trail.find(key, fact.id)
            if follower is not None:
                first = follower.leader is None
                follower.leader, follower.fact = _leader_of(fact), line
                return first
        return True

    def _lead(self, columns: Columns) -> list[tuple[Follower, Leader]]:
        """Remember impressions and clicks; whom they overtake."""
        images = columns.images
        self._clicks.lead(images, columns.times, columns.hits)
        overtaken = [*self._clicks.overtaken(images, columns.hits)]
        clicks = [
            columns.hits[index]
            for index in columns.actions
            if columns.hits[index].kind == "click" and columns.pixels[index] is not None
        ]
        people = [_person(hit) for hit in clicks]
        self._conversions.lead(people, [hit.ts for hit in clicks], clicks)
        return [*overtaken, *self._conversions.overtaken(people, clicks)]

    def _followers(self, columns: Columns) -> Iterator[tuple[int, Trail, Hashable]]:
        for index in columns.actions:
            hit, pixel = columns.hits[index], columns.pixels[index]
            if pixel is None:
                continue
            if hit.kind == "click":
                yield index, self._clicks, pixel
            elif not hit.click_id or _leader_of(hit):
                yield index, self._conversions, _person(hit)


def joined(hit: Hit, leader: Leader) -> bytes:
    """What the hit's fact says of its leader, as members of its JSON."""
    ts, id = leader
    names = (b"impression_id", b"seconds_to_click") if hit.kind == "click" else (b"click_id", b"seconds_to_conversion")
    return b',"%b":"%b","%b":%b' % (names[0], id.encode(), names[1], _encode((hit.ts - ts) / 1000))


def _person(hit: Hit) -> Hashable:
    return hit.advertiser, hit.campaign, hit.visitor


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
