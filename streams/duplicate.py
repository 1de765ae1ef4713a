"""Marks duplicates: a request preceded, by less than the window, by a counted one of the same pixel and visitor.

Rule: MRC, Viewable Ad Impression Measurement Guidelines, "duplicate" counting; the window is a setting. Clicks are
judged among clicks, and a request is judged in the order of arrival: two requests less than a window apart, in
whatever order their times stand, are never both counted. A conversion that names its order is judged by that alone:
an order converts once, however long ago it is remembered. Nobody's requests are no duplicates of each other.
"""

from collections.abc import Sequence
from hashlib import blake2b

from pixeltally.hit import NOBODY, Fact, Hit
from streams.memory import Memory


def key(hit: Hit, unit_number: int) -> int | None:
    """The key that hits of the ad unit with this number are duplicates by: an order's is negative; None: by nothing."""
    if hit.order and hit.kind == "conversion":
        order = int.from_bytes(blake2b(hit.order.encode("utf-8", "surrogatepass"), digest_size=16).digest())
        return -(unit_number << 128 | order) - 1
    if hit.visitor == NOBODY:
        return None
    return unit_number << 65 | (hit.kind == "click") << 64 | hit.visitor


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
        duplicate = last is not None and (key < 0 or abs(hit.ts - last) < window_ms)
        if not duplicate:
            counted.put(key, hit.ts)
        result.append(duplicate)
    return result


def recall(facts: Sequence[Fact], keys: Sequence[int | None], counted: Memory[int, int]) -> None:
    """Remember what facts say was counted."""
    for fact, key in zip(facts, keys, strict=True):
        if key is not None and not fact.duplicate:
            counted.put(key, fact.ts)
