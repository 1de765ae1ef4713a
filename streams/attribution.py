"""Joins a click to the latest impression of the same ad unit and visitor, no more than the window before it."""

from collections.abc import Sequence
from typing import NamedTuple

from pixeltally.hit import IMAGE_KINDS, Hit
from streams.memory import Memory


class Impression(NamedTuple):
    """An impression that clicks may follow."""

    ts: int
    id: str


def join(
    hits: Sequence[Hit], keys: Sequence[int], impressions: Memory[Impression], window_ms: int
) -> list[Impression | None]:
    """Each click's impression (None for other kinds); `impressions` (key → latest) is moved forward."""
    result: list[Impression | None] = []
    for hit, key in zip(hits, keys, strict=True):
        latest = impressions.get(key)
        found = None
        if hit.kind in IMAGE_KINDS:
            if latest is None or latest.ts <= hit.ts:
                impressions.put(key, Impression(hit.ts, hit.id))
        elif hit.kind == "click" and latest is not None and 0 <= hit.ts - latest.ts <= window_ms:
            found = latest
        result.append(found)
    return result
