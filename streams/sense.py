"""Which lines of a message can't be hits although their fields have the right types: no table could hold them.

Looked at in columns first; one by one only where something is wrong.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from pixeltally.hit import NAME_PATTERN, Hit

#: Nobody counted before: 1 January 2000, epoch milliseconds.
EARLIEST_MS = 946_684_800_000

#: A clock may be wrong by so much; beyond it what it says is no time.
AHEAD_MS = 86_400_000

#: The longest line, in bytes.
MOST_BYTES = 256 * 1024

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_DASHES = "-" * 4


def senseless(hits: Sequence[Hit], lines: Sequence[bytes], arrived_ms: int) -> list[int]:
    """The indexes of those that make no sense, of hits that the broker took at `arrived_ms`."""
    if not hits or _all_make_sense(hits, lines, arrived_ms):
        return []
    pairs = enumerate(zip(hits, lines, strict=True))
    return [index for index, (hit, line) in pairs if not _all_make_sense([hit], [line], arrived_ms)]


def _all_make_sense(hits: Sequence[Hit], lines: Sequence[bytes], arrived_ms: int) -> bool:
    times = [hit.ts for hit in hits]
    visitors = [hit.visitor for hit in hits]
    places = [hit.seq for hit in hits]
    return (
        min(times) >= EARLIEST_MS
        and max(times) <= arrived_ms + AHEAD_MS
        and min(visitors) >= 0
        and max(visitors) < 1 << 64
        and min(places) >= 0
        and max(places) < 1 << 63
        and max(map(len, lines)) <= MOST_BYTES
        and _are_ids([hit.id for hit in hits])
        and _are_ids([hit.click_id for hit in hits if hit.click_id])
        and all(map(_is_address, {hit.ip for hit in hits}))
        and all(map(_is_unit, {(hit.advertiser, hit.campaign, hit.creative, hit.placement) for hit in hits}))
    )


def _are_ids(ids: list[str]) -> bool:
    """Whether all are UUIDs: quickly, where all of them are."""
    together = "".join(ids)
    try:
        if len(together) == 36 * len(ids) and len(bytes.fromhex(together.replace("-", ""))) == 16 * len(ids):
            return all(id[8::5][:4] == _DASHES for id in ids)
    except ValueError:
        pass
    return all(map(_UUID.fullmatch, ids))


@lru_cache(250_000)
def _is_address(text: str) -> bool:
    try:
        return not text or ("%" not in text and bool(ip_address(text)))
    except ValueError:
        return False


@lru_cache(100_000)
def _is_unit(unit: tuple[str, str, str, str]) -> bool:
    return all(_NAME.fullmatch(name) for name in unit[:2]) and all(
        not name or _NAME.fullmatch(name) for name in unit[2:]
    )
