"""Joins a click to the impression that it followed, and a conversion that names no click to the click.

That is the latest one of the same visitor no more than the window before: for a click of the same ad unit, for a
conversion of the same campaign. One that comes late (another node was away) corrects what was said before it came.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from pixeltally.hit import IMAGE_KINDS, NOBODY, Fact, Hit
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

    def join(
        self, hits: Sequence[Hit], pixels: Sequence[int | None], version: int
    ) -> tuple[dict[int, Leader], list[Correction]]:
        """Whom which hit follows, by its index, and what these hits correct. A hit without a pixel is passed over."""
        impressions, clicks = _leaders(hits, pixels)
        self._clicks.lead(impressions)
        self._conversions.lead(clicks)
        overtaken = [*self._clicks.overtaken(impressions), *self._conversions.overtaken(clicks)]
        latest = {follower.id: (follower, leader) for follower, leader in overtaken}
        corrections = [_corrected(follower, leader, version) for follower, leader in latest.values()]
        leaders = {}
        for index, trail, key in self._followers(hits, pixels):
            leader = trail.leader(key, hits[index].ts)
            if leader is not None:
                leaders[index] = leader
        return leaders, corrections

    def remember(
        self, hits: Sequence[Hit], pixels: Sequence[int | None], leaders: dict[int, Leader], facts: Sequence[bytes]
    ) -> None:
        """Remember the facts of those that may have to be said again."""
        for index, trail, key in self._followers(hits, pixels):
            hit = hits[index]
            trail.follow(key, Follower(hit.ts, hit.id, leaders.get(index), facts[index]))

    def recall(self, facts: Sequence[Fact], pixels: Sequence[int | None], lines: Sequence[bytes]) -> dict[int, Leader]:
        """Take up what one message of facts, without its corrections, says; whom which fact follows, by its index."""
        impressions, clicks = _leaders(facts, pixels)
        self._clicks.lead(impressions)
        self._conversions.lead(clicks)
        leaders = {index: leader for index, fact in enumerate(facts) if (leader := _leader_of(fact)) is not None}
        self.remember(facts, pixels, leaders, lines)
        return leaders

    def recall_correction(self, fact: Fact, pixel: int | None, line: bytes) -> bool:
        """Take up a correction; whether it may have followed nothing before."""
        for _, trail, key in self._followers([fact], [pixel]):
            follower = trail.find(key, fact.id)
            if follower is not None:
                first = follower.leader is None
                follower.leader, follower.fact = _leader_of(fact), line
                return first
        return True

    def _followers(self, hits: Sequence[Hit], pixels: Sequence[int | None]) -> Iterator[tuple[int, Trail, Hashable]]:
        for index, hit in enumerate(hits):
            if hit.kind in IMAGE_KINDS or pixels[index] is None:
                continue
            if hit.kind == "click":
                yield index, self._clicks, pixels[index]
            elif hit.visitor != NOBODY and (not hit.click_id or _leader_of(hit)):
                yield index, self._conversions, _person(hit)


def joined(hit: Hit, leader: Leader) -> bytes:
    """What the hit's fact says of its leader, as members of its JSON."""
    names = (b"impression_id", b"seconds_to_click") if hit.kind == "click" else (b"click_id", b"seconds_to_conversion")
    return b',"%b":"%b","%b":%b' % (names[0], leader.id.encode(), names[1], _encode((hit.ts - leader.ts) / 1000))


def _leaders(
    hits: Sequence[Hit], pixels: Sequence[int | None]
) -> tuple[list[tuple[Hashable, Leader]], list[tuple[Hashable, Leader]]]:
    """The impressions and the clicks that others may follow, each with its key."""
    impressions: list[tuple[Hashable, Leader]] = []
    clicks: list[tuple[Hashable, Leader]] = []
    for hit, pixel in zip(hits, pixels, strict=True):
        if pixel is None:
            continue
        if hit.kind in IMAGE_KINDS:
            impressions.append((pixel, Leader(hit.ts, hit.id)))
        elif hit.kind == "click":
            clicks.append((_person(hit), Leader(hit.ts, hit.id)))
    return impressions, clicks


def _person(hit: Hit) -> Hashable:
    return hit.advertiser, hit.campaign, hit.visitor


def _leader_of(hit: Hit) -> Leader | None:
    """Whom a fact says that it follows."""
    if not isinstance(hit, Fact):
        return None
    if hit.kind == "click" and hit.impression_id:
        return Leader(hit.ts - round(hit.seconds_to_click * 1000), hit.impression_id)
    if hit.kind == "conversion" and hit.seconds_to_conversion is not None:
        return Leader(hit.ts - round(hit.seconds_to_conversion * 1000), hit.click_id)
    return None


def _corrected(follower: Follower, leader: Leader, version: int) -> Correction:
    """The follower's fact with another leader, which is remembered."""
    fact, first = _decode(follower.fact), follower.leader is None
    seconds = (follower.ts - leader.ts) / 1000
    fact.version = version
    if fact.kind == "click":
        fact.impression_id, fact.seconds_to_click = leader.id, seconds
    else:
        fact.click_id, fact.seconds_to_conversion = leader.id, seconds
    follower.leader, follower.fact = leader, _encode(fact)
    return Correction(fact, follower.fact, first)
