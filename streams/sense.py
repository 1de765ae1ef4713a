"""Which lines of a message can't be hits although their fields have the right types: no table could hold them.

What `streams.lines` reads is looked at there; addresses are, where they are looked up.
"""

import re

from pixeltally.hit import NAME_PATTERN, Hit

#: Nobody counted before: 1 January 2000, epoch milliseconds.
EARLIEST_MS = 946_684_800_000

#: A clock may be wrong by so much; beyond it what it says is no time.
AHEAD_MS = 86_400_000

#: The longest line, in bytes.
MOST_BYTES = 256 * 1024

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(NAME_PATTERN, re.ASCII)


def latest_ms(arrived_ms: int) -> int:
    """The latest time of a hit that the broker took at `arrived_ms`."""
    return arrived_ms + AHEAD_MS


def is_sensible(hit: Hit, line: bytes, arrived_ms: int) -> bool:
    """Whether a hit, which the broker took at `arrived_ms`, makes sense, its address apart."""
    return (
        EARLIEST_MS <= hit.ts <= latest_ms(arrived_ms)
        and 0 <= hit.visitor < 1 << 64
        and 0 <= hit.seq < 1 << 63
        and len(line) <= MOST_BYTES
        and bool(_UUID.fullmatch(hit.id))
        and (not hit.click_id or bool(_UUID.fullmatch(hit.click_id)))
        and all(_NAME.fullmatch(name) for name in (hit.advertiser, hit.campaign))
        and all(not name or _NAME.fullmatch(name) for name in (hit.creative, hit.placement))
    )
