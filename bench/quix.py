"""The peer engine: the same job in Quix Streams, in a virtual environment of its own (it wants another Kafka client).

One JSON hit a message, its key the ad unit, so that windows and what duplicates are judged by need no second topic
between (micro-batches would: state there belongs to a message's key). Out come one fact a hit, with `duplicate`, and
each ad unit's closed minutes with gross, duplicates, uniques and clicks. State is recoverable, as ours: RocksDB and a
changelog, both as they come. It joins no clicks and drops nothing redelivered.
Run as `python bench/quix.py SERVERS TOPIC FACTS MINUTES DATA`.
"""

import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.models import TopicConfig

PARTITIONS = 4
DUPLICATE_MS = 60_000
MINUTE_MS = 60_000
LATENESS_MS = 60_000


def judge(hit: dict[str, Any], state: State) -> dict[str, Any]:
    """The hit's fact: whether it is a duplicate, and whether its visitor is new in its minute."""
    ts, request = hit["ts"], f"{hit['kind']} {hit['visitor']}"
    minute = ts // MINUTE_MS
    counted, seen = state.get(request) or (-DUPLICATE_MS, -1)
    hit["duplicate"], hit["new"] = abs(ts - counted) < DUPLICATE_MS, minute != seen
    if hit["new"] or not hit["duplicate"]:
        state.set(request, (counted if hit["duplicate"] else ts, minute))
    return hit


def count(row: dict[str, int], hit: dict[str, Any]) -> dict[str, int]:
    """A minute's counts with one hit more."""
    if hit["kind"] == "click":
        row["clicks"] += not hit["duplicate"]
    elif hit["kind"] == "impression":
        row["gross"] += 1
        row["duplicates"] += hit["duplicate"]
        row["uniques"] += hit["new"]
    return row


def first(hit: dict[str, Any]) -> dict[str, int]:
    """A minute's counts after its first hit."""
    return count({"gross": 0, "duplicates": 0, "uniques": 0, "clicks": 0}, hit)


def main(servers: str, hits: str, facts: str, minutes: str, data: str) -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=servers,
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        state_dir=data,
        loglevel="WARNING",
        producer_extra_config={"compression.type": "lz4", "linger.ms": 5},
    )
    config = TopicConfig(num_partitions=PARTITIONS, replication_factor=1)
    topic = app.topic(hits, config=config, key_deserializer="str", timestamp_extractor=lambda hit, *_: int(hit["ts"]))
    judged = app.dataframe(topic).apply(judge, stateful=True)
    judged.to_topic(app.topic(facts, config=config))
    windows = judged.tumbling_window(MINUTE_MS, grace_ms=LATENESS_MS).reduce(reducer=count, initializer=first)
    windows.final().to_topic(app.topic(minutes, config=config))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:6])
