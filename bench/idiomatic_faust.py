"""The peer that says what the streams tier's way is good for: the same windows as Faust's user guide would count them.

One JSON event a message, a record, `app.Table(…).tumbling(60)` for requests and clicks, a windowed set for uniques.
It marks no duplicates, joins no clicks and writes no facts.
Run as `python -m bench.idiomatic_faust SERVERS TOPIC DATA`.
"""

import sys
from typing import Any

import faust

from pixeltally.process import die_with_parent

#: Its table of counts writes one message an event: what of the bench has been counted.
APP = "bench-faust"
COUNTS = f"{APP}-counts-changelog"
MINUTE_S = 60.0


class Hit(faust.Record):
    """The fields of a hit that are counted; what else its line says is ignored."""

    ts: int
    kind: str
    advertiser: str
    campaign: str
    visitor: int
    creative: str = ""
    placement: str = ""


def build(servers: str, topic: str, data: str) -> faust.App:
    """The app."""
    app = faust.App(
        APP,
        broker=f"kafka://{servers}",
        store="memory://",
        datadir=data,
        web_enabled=False,
        topic_partitions=4,
        consumer_auto_offset_reset="earliest",
    )
    counts = app.Table("counts", default=int, partitions=4).tumbling(MINUTE_S, expires=3600.0)
    visitors = app.SetTable("visitors", partitions=4).tumbling(MINUTE_S, expires=3600.0)

    @app.agent(app.topic(topic, value_type=Hit, partitions=4))
    async def count(hits: Any) -> None:
        async for hit in hits:
            unit = f"{hit.advertiser}/{hit.campaign}/{hit.creative}/{hit.placement}"
            counts[f"{unit} {hit.kind}"] += 1
            visitors[unit].add(hit.visitor)  # type: ignore[attr-defined]

    return app


if __name__ == "__main__":
    die_with_parent()
    faust.Worker(build(*sys.argv[1:4]), quiet=True, loglevel="error").execute_from_commandline()
