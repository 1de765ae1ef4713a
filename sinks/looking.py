"""Looks at what stands in a topic, beside those who consume it: nothing is committed."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from pixeltally import topics
from pixeltally.settings import Settings

TIMEOUT_S = 10.0

#: What may be read ahead. With Kafka's default, 64 MB, each look left some of that with the process for ever.
AHEAD_KBYTES = 8192


def looker(settings: Settings) -> Consumer:
    """A consumer to look with."""
    return Consumer(
        {
            **topics.LONG_LIVED,
            "bootstrap.servers": settings.kafka_servers,
            "group.id": "pixeltally-looking",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
            "queued.max.messages.kbytes": AHEAD_KBYTES,
            "fetch.queue.backoff.ms": 20,
            "log_level": 0,
        }
    )


def read(consumer: Consumer, start: TopicPartition, end: int) -> Iterator[Message]:
    """The messages of a partition from an offset up to `end`. Raises KafkaException."""
    position, heard = start.offset, time.monotonic()
    if position < end:
        consumer.assign([start])
    while position < end:
        for message in consumer.consume(500, timeout=0.05):
            heard = time.monotonic()
            position = topics.place(message)[2] + 1
            if position <= end:
                yield message
        if time.monotonic() > heard + TIMEOUT_S:
            raise KafkaException(f"no answer while reading {start.topic}/{start.partition} at {position}")
