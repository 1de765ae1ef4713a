"""Marks duplicates: a request preceded, by less than the window, by a counted one of the same pixel and visitor.

Rule: MRC, Viewable Ad Impression Measurement Guidelines, "duplicate" counting; the window is a setting. Clicks are
judged among clicks, and a request is judged in the order of arrival: two requests less than a window apart, in
whatever order their times stand, are never both counted. A conversion that names its order is judged by that alone:
an order converts once, however long ago it is remembered. Nobody's requests are no duplicates of each other, and
invalid traffic is neither counted nor a duplicate.
"""

from collections.abc import Hashable, Sequence

from pixeltally.hit import VALID, Fact
from streams.columns import Columns
from streams.memory import Memory


def mark(columns: Columns, verdicts: Sequence[str], counted: Memory[Hashable, int], window_ms: int) -> list[bool]:
    """Which hits are duplicates; `counted` (what by → time of the last counted request) is moved forward."""
    young, old = counted.young, counted.old
    result = []
    for key, ts in zip(_keys(columns, verdicts), columns.times, strict=True):
        duplicate = False
        if key is not None:
            last = young.get(key)
            if last is None:
                last = old.get(key)
            duplicate = last is not None and (-window_ms < ts - last < window_ms or type(key) is tuple)
            if not duplicate:
                young[key] = ts
        result.append(duplicate)
    return result


def recall(columns: Columns, facts: list[Fact], counted: Memory[Hashable, int]) -> None:
    """Remember what facts say was counted."""
    for key, fact in zip(_keys(columns, [fact.verdict for fact in facts]), facts, strict=True):
        if key is not None and not fact.duplicate:
            counted.young[key] = fact.ts


def _keys(columns: Columns, verdicts: Sequence[str]) -> list[Hashable | None]:
    """What each hit is a duplicate by; None for what is invalid or like no other."""
    keys: list[Hashable | None] = [*columns.pixels]
    for index in columns.actions:
        hit, pixel = columns.hits[index], columns.pixels[index]
        if hit.kind == "click":
            keys[index] = None if pixel is None else ~pixel
        elif hit.order:
            keys[index] = (columns.units[index], hit.order)
    return [key if verdict == VALID else None for key, verdict in zip(keys, verdicts, strict=True)]
