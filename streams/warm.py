"""Compiles all loops ahead: `python -m streams.warm`, as `make setup` does, takes half a minute once.

Without, the first worker does it when it starts. Afterwards it takes a fraction of a second.
"""

from uuid import UUID

import msgspec

from pixeltally.hit import Hit
from pixeltally.settings import Settings
from streams.batch import parse
from streams.enrich import Enricher
from streams.tally import Head, Rules, Tally

_ARRIVED_MS = 1_764_000_000_000


def warm(enricher: Enricher) -> None:
    """Go once through everything that hits go through, with hits that nobody sent."""
    rules = Rules(duplicate_window_ms=60_000, attribution_window_ms=60_000, lateness_ms=60_000)
    hits = [
        Hit(
            id=str(UUID(int=seq)), ts=_ARRIVED_MS + seq, kind=kind, advertiser="a", campaign="b", visitor=1,
            node="n", seq=seq,
        )
        for seq, kind in enumerate(("impression", "impression", "click", "conversion"))
    ]  # fmt: skip
    value = b"\n".join(map(msgspec.json.encode, hits))
    tally = Tally(0, rules, enricher, Head(-1, 0, 0))
    facts = tally.apply(parse(enricher, "", 0, 0, _ARRIVED_MS, value)[0])
    tally.tell()
    Tally(0, rules, enricher, tally.head).recall(tally.head, facts)


if __name__ == "__main__":
    warm(Enricher(Settings.from_env({})))
