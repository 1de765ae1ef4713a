"""Reads facts, and hits, out of Kafka: what a count is taken up from."""

from collections.abc import Iterator
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from pixeltally import topics
from pixeltally.settings import Settings
from pixeltally.topics import HEAD
from streams import batch
from streams.head import Head

_POLL_S = 10.0

#: What is read ahead, in KiB; and how soon after that was full more is asked for.
_AHEAD_KIB, _PAUSE_MS = 128 * 1024, 10


class Reader:
    """Reads partitions of topics. All that it does raises KafkaException where the broker can't be read."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            {
                **topics.PROMPT,
                "bootstrap.servers": settings.kafka_servers,
                "group.id": "pixeltally-streams-restore",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
                "queued.max.messages.kbytes": _AHEAD_KIB,
                "fetch.queue.backoff.ms": _PAUSE_MS,
            }
        )

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def partitions(self, topic: str) -> int:
        """How many a topic has."""
        return len(self._consumer.list_topics(topic, timeout=_POLL_S).topics[topic].partitions)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one that comes next."""
        first, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_POLL_S)
        return first, end

    def since(self, partition: int, start_ms: int, end: int) -> int:
        """The offset of the first facts that the broker took at `start_ms` or later; `end` - 1 where there are none."""
        first, _ = self.bounds(topics.FACTS, partition)
        place = TopicPartition(topics.FACTS, partition, max(start_ms, 0))
        found = self._consumer.offsets_for_times([place], timeout=_POLL_S)[0].offset
        return max(found, first) if 0 <= found < end else end - 1

    def head(self, partition: int, offset: int) -> Head:
        """The head of the facts at an offset."""
        return next(self.facts(partition, offset, offset + 1))[1]

    def facts(self, partition: int, start: int, end: int) -> Iterator[tuple[int, Head, bytes]]:
        """The facts from offset `start` up to `end`: offset, head, lines."""
        for message in topics.read(self._consumer, TopicPartition(topics.FACTS, partition, start), end):
            headers: dict[str, Any] = dict(message.headers() or ())
            yield message.offset() or 0, msgspec.json.decode(headers[HEAD], type=Head), message.value() or b""

    def hits(self, partition: int, start: int, end: int) -> Iterator[batch.Message]:
        """The hits from offset `start` up to `end`."""
        for message in topics.read(self._consumer, TopicPartition(topics.HITS, partition, start), end):
            _, arrived = message.timestamp()
            headers: dict[str, Any] = dict(message.headers() or ())
            yield batch.Message.of(partition, message.offset() or 0, arrived, headers, message.value() or b"")
