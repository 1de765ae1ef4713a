"""Compiles all loops ahead: `python -m streams.warm`, as `make setup` does, takes half a minute once.

Without, the first worker does it when it starts. Afterwards it takes a fraction of a second.
"""

from uuid import UUID

import msgspec

from pixeltally.hit import Hit, Kind
from pixeltally.settings import Settings
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.tally import Tally

_ARRIVED_MS = 1_764_000_000_000


def warm(enricher: Enricher) -> None:
    """Go once through everything that hits go through, with hits that nobody sent."""
    rules = Rules(duplicate_window_ms=60_000, attribution_window_ms=60_000, lateness_ms=60_000)
    kinds: tuple[Kind, ...] = ("impression", "impression", "click", "conversion")
    hits = [
        Hit(
            id=str(UUID(int=seq)), ts=_ARRIVED_MS + seq, kind=kind, advertiser="a", campaign="b", visitor=1,
            node="n", seq=seq,
        )
        for seq, kind in enumerate(kinds)
    ]  # fmt: skip
    value = b"\n".join(map(msgspec.json.encode, hits))
    tally = Tally(0, rules, enricher, Head(-1, 0, 0))
    [(batch, _)] = parse(enricher, [Message(0, 0, _ARRIVED_MS, value)])
    facts = tally.apply(batch).facts
    tally.tell()
    Tally(0, rules, enricher, tally.head).recall(tally.head, facts)


if __name__ == "__main__":
    warm(Enricher(Settings.from_env({})))
