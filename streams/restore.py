"""Takes a partition's count up again from its own facts.

The facts topic is the streams tier's changelog: each message of hits has one message of facts, in the same
partition, and the tally's head rides on it. So there is no other state to keep, and none that could disagree.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from pixeltally import topics
from pixeltally.settings import Settings
from pixeltally.topics import HEAD
from streams.enrich import Enricher
from streams.tally import Head, Rules, Tally

log = logging.getLogger("streams")

_POLL_S = 10.0


def restore(settings: Settings, enricher: Enricher, partition: int) -> Tally:
    """The tally of `partition` as its last worker left it; a new one where there was none.

    Raises KafkaException where the broker can't be read.
    """
    rules = Rules.of(settings)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_servers,
            "group.id": "pixeltally-streams-restore",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
        }
    )
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topics.FACTS, partition), timeout=_POLL_S)
        if low == high:
            first, _ = consumer.get_watermark_offsets(TopicPartition(topics.HITS, partition), timeout=_POLL_S)
            return Tally(partition, rules, enricher, Head(first - 1, 0, 0))
        while True:
            tally = Tally(partition, rules, enricher, _head(next(_read(consumer, partition, high - 1, high))))
            start = TopicPartition(topics.FACTS, partition, max(tally.head.memory_start_ms(rules), 0))
            since = consumer.offsets_for_times([start], timeout=_POLL_S)[0].offset
            gap = _recall(tally, _read(consumer, partition, max(since, low) if since >= 0 else high - 1, high))
            if gap is None:
                return tally
            log.warning("%s/%d lacks facts before offset %d: they are made again", topics.FACTS, partition, gap)
            high = gap
    finally:
        consumer.close()


def _recall(tally: Tally, messages: Iterable[Message]) -> int | None:
    """Recall facts as long as they follow one another; the facts' offset from which on they don't.

    A worker whose sending failed may have left some out.
    """
    expected = None
    for message in messages:
        head = _head(message)
        if expected is not None and head.offset > expected:
            return topics.place(message)[2]
        expected = max(expected or 0, head.offset + 1)
        tally.recall(head, message.value() or b"")
    return None


def _read(consumer: Consumer, partition: int, start: int, end: int) -> Iterator[Message]:
    """The messages from offset `start` up to `end`."""
    consumer.assign([TopicPartition(topics.FACTS, partition, start)])
    position = start
    heard = time.monotonic()
    while position < end:
        for message in consumer.consume(500, timeout=0.05):
            _, _, offset = topics.place(message)
            heard = time.monotonic()
            position = offset + 1
            if offset < end:
                yield message
        if time.monotonic() - heard > _POLL_S:
            raise KafkaException(f"no answer from Kafka while reading {topics.FACTS}/{partition} at {position}")


def _head(message: Message) -> Head:
    headers: dict[str, Any] = dict(message.headers() or ())
    return msgspec.json.decode(headers[HEAD], type=Head)
