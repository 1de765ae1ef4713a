"""Marks duplicates: a request preceded, by less than the window, by a counted one of the same pixel and visitor.

Rule: MRC, Viewable Ad Impression Measurement Guidelines, "duplicate" counting; the window is a setting. Clicks are
judged among clicks, and a request is judged in the order of arrival: two requests less than a window apart, in
whatever order their times stand, are never both counted. A conversion that names its order is judged by that alone:
an order converts once, however long ago it is remembered. Nobody's requests are no duplicates of each other, and
invalid traffic is neither counted nor a duplicate.
"""

from collections.abc import Hashable, Sequence

from pixeltally.hit import Fact, Hit
from streams.memory import Memory


def key(hit: Hit, pixel: int | None, unit: int) -> Hashable | None:
    """What a click or conversion of the ad unit with this number is a duplicate by; None: by nothing."""
    if hit.kind == "click":
        return None if pixel is None else ~pixel
    return (unit, hit.order) if hit.order else pixel


def mark(
    hits: Sequence[Hit], keys: Sequence[Hashable | None], counted: Memory[Hashable, int], window_ms: int
) -> list[bool]:
    """Which hits are duplicates; `counted` (key → time of the last counted request) is moved forward.

    A hit without a key is not counted and no duplicate.
    """
    young, old = counted.young, counted.old
    result = []
    for hit, key in zip(hits, keys, strict=True):
        duplicate = False
        if key is not None:
            last = young.get(key)
            if last is None:
                last = old.get(key)
            duplicate = last is not None and (-window_ms < hit.ts - last < window_ms or type(key) is tuple)
            if not duplicate:
                young[key] = hit.ts
        result.append(duplicate)
    return result


def recall(facts: Sequence[Fact], keys: Sequence[Hashable | None], counted: Memory[Hashable, int]) -> None:
    """Remember what facts say was counted."""
    for fact, key in zip(facts, keys, strict=True):
        if key is not None and not fact.duplicate:
            counted.young[key] = fact.ts
