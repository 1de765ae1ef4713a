"""Marks duplicates: a request preceded, by less than the window, by a counted one of the same pixel and visitor.

Rule: MRC, Viewable Ad Impression Measurement Guidelines, "duplicate" counting; the window is a setting. Clicks are
judged among clicks, and a request is judged in the order of arrival: two requests less than a window apart, in
whatever order their times stand, are never both counted.
"""

from collections.abc import Sequence

from pixeltally.hit import Fact, Hit
from streams.memory import Memory


def mark(hits: Sequence[Hit], keys: Sequence[int | None], counted: Memory[int, int], window_ms: int) -> list[bool]:
    """Which hits are duplicates; `counted` (key → time of the last counted request) is moved forward.

    A hit without a key is not counted and no duplicate.
    """
    result = []
    for hit, key in zip(hits, keys, strict=True):
        if key is None:
            result.append(False)
            continue
        last = counted.get(key)
        duplicate = last is not None and abs(hit.ts - last) < window_ms
        if not duplicate:
            counted.put(key, hit.ts)
        result.append(duplicate)
    return result


def recall(facts: Sequence[Fact], keys: Sequence[int | None], counted: Memory[int, int]) -> None:
    """Remember what facts say was counted."""
    for fact, key in zip(facts, keys, strict=True):
        if key is not None and not fact.duplicate:
            counted.put(key, fact.ts)
