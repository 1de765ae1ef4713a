"""Joins a click to the latest impression of the same ad unit and visitor, no more than the window before it."""

from bisect import bisect_right, insort_right
from collections.abc import Sequence
from typing import NamedTuple

from pixeltally.hit import IMAGE_KINDS, NOBODY, Hit
from streams.memory import Memory


class Impression(NamedTuple):
    """An impression that clicks may follow."""

    ts: int
    id: str


def join(
    hits: Sequence[Hit], keys: Sequence[int], impressions: Memory[list[Impression]], window_ms: int
) -> list[Impression | None]:
    """Each click's impression (None for other kinds).

    `impressions` (key → those of a span, by time) takes in the impressions; of two at the same time the one that
    arrived last counts as the later.
    """
    result: list[Impression | None] = []
    for hit, key in zip(hits, keys, strict=True):
        found = None
        if hit.visitor == NOBODY:
            pass  # nobody's click can't follow anybody's impression
        elif hit.kind in IMAGE_KINDS:
            _remember(impressions, key, Impression(hit.ts, hit.id))
        elif hit.kind == "click":
            found = _latest(impressions, key, hit.ts)
            if found is not None and hit.ts - found.ts > window_ms:
                found = None
        result.append(found)
    return result


def _remember(impressions: Memory[list[Impression]], key: int, impression: Impression) -> None:
    _, known = impressions.spans(key)
    if known is None:
        impressions.put(key, [impression])
    else:
        insort_right(known, impression, key=_time)


def _latest(impressions: Memory[list[Impression]], key: int, until_ms: int) -> Impression | None:
    latest = None
    for known in impressions.spans(key):
        if known is None:
            continue
        before = bisect_right(known, until_ms, key=_time)
        if before and (latest is None or latest.ts <= known[before - 1].ts):
            latest = known[before - 1]
    return latest


def _time(impression: Impression) -> int:
    return impression.ts
