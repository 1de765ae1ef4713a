"""Counts the hits of a range of minutes by reading `pixeltally.hits` itself, line by line."""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator

import msgspec
import numpy as np
from confluent_kafka import Message, TopicPartition

from pixeltally import topics
from pixeltally.settings import Settings
from sinks.looking import TIMEOUT_S, looker
from sinks.stages import Span

#: A hit may come to Kafka so long before its own time: by a clock that runs ahead.
AHEAD_S = 300

#: (minute, advertiser, campaign, creative, placement)
Place = tuple[int, str, str, str, str]


class _Hit(msgspec.Struct, gc=False):
    ts: int
    node: str
    seq: int
    advertiser: str
    campaign: str
    creative: str = ""
    placement: str = ""


_decode = msgspec.json.Decoder(_Hit).decode


def count(settings: Settings, span: Span, refused: Collection[str]) -> Counter[Place] | None:
    """Hits by minute and ad unit, those that were sent twice once; None where Kafka keeps the range no more.

    `refused`: origins of lines that are no hits. Raises KafkaException.
    """
    consumer = looker(settings)
    found: Counter[Place] = Counter()
    try:
        for partition in consumer.list_topics(topics.HITS, timeout=TIMEOUT_S).topics[topics.HITS].partitions:
            place = TopicPartition(topics.HITS, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
            asked = TopicPartition(topics.HITS, partition, max(span.start - AHEAD_S, 0) * 1000)
            start = consumer.offsets_for_times([asked], timeout=TIMEOUT_S)[0].offset
            if 0 < low == start:
                return None  # what came before it may have been deleted
            if 0 <= start < high:
                _count(topics.read(consumer, TopicPartition(topics.HITS, partition, start), high), span, refused, found)
    finally:
        consumer.close()
    return found


def _count(messages: Iterator[Message], span: Span, refused: Collection[str], found: Counter[Place]) -> None:
    start_ms, end_ms = span.start * 1000, span.end * 1000
    places: dict[Place, int] = {}
    seen: dict[str, tuple[array[int], array[int]]] = {}  #: each node's `seq`s, and the number of each one's place
    for message in messages:
        topic, partition, offset = topics.place(message)
        lines = [line for line in (message.value() or b"").split(b"\n") if line]
        for number, line in enumerate(lines):
            if refused and f"{topic}/{partition}@{offset}#{number}" in refused:
                continue
            hit = _decode(line)
            if start_ms <= hit.ts < end_ms:
                minute = hit.ts // 60_000 * 60
                place = (minute, hit.advertiser, hit.campaign, hit.creative, hit.placement)
                seqs, numbers = seen.setdefault(hit.node, (array("Q"), array("q")))
                seqs.append(hit.seq)
                numbers.append(places.setdefault(place, len(places)))
    named = list(places)
    for seqs, numbers in seen.values():
        _, first = np.unique(np.asarray(seqs), return_index=True)
        for number, count in zip(*np.unique(np.asarray(numbers)[first], return_counts=True), strict=True):
            found[named[number]] += int(count)
