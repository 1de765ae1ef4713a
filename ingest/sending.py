"""Hands messages to Kafka so that each arrives, once and in order."""

import logging

from confluent_kafka import KafkaError, Message, Producer

from ingest import packing
from pixeltally import topics
from pixeltally.errors import Refused
from pixeltally.settings import Settings

#: What a command's messages in flight may take of memory, and how long it waits for a Kafka that is away.
QUEUE_KBYTES = 64 * 1024
PATIENCE_MS = 60_000

_POLL_S = 0.05


def producer(settings: Settings, log: logging.Logger, *, patience_ms: int, queue_kbytes: int) -> Producer:
    """Kafka's client; a message is given up after `patience_ms`, 0: never."""
    return Producer(
        {
            **topics.LONG_LIVED,
            "bootstrap.servers": settings.kafka_servers,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": patience_ms,
            "message.max.bytes": topics.MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": queue_kbytes,
            "linger.ms": 5,
            "compression.type": "lz4",
        },
        logger=log,
    )


def partition_count(settings: Settings) -> int:
    """The partitions of `pixeltally.hits`, for a command: it is refused where Kafka can't be asked."""

    def refuse(why: str) -> None:
        raise Refused(f"Kafka doesn't answer on {settings.kafka_servers}: {why}.")

    return topics.ensure(settings, waiting=refuse)


class Sender:
    """What a command sends; it is refused where Kafka stays away."""

    def __init__(self, settings: Settings) -> None:
        self._servers = settings.kafka_servers
        self._failed: KafkaError | None = None
        log = logging.getLogger("kafka")
        log.setLevel(logging.CRITICAL)  # what it has to say is said once, by the refusal
        self._producer = producer(settings, log, patience_ms=PATIENCE_MS, queue_kbytes=QUEUE_KBYTES)

    def send(self, message: packing.Message, headers: dict[str, str | bytes | None] | None = None) -> None:
        """Send one; what was sent before it may still be under way."""
        topic, partition, value = message
        while True:
            self._check()
            try:
                self._producer.produce(topic, value, partition=partition, headers=headers, on_delivery=self._arrived)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(_POLL_S)

    def finish(self) -> None:
        """Wait until all that was sent has arrived."""
        while self._producer.flush(1):
            self._check()
        self._check()

    def _arrived(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed:
            raise Refused(
                f"Kafka on {self._servers} took no more: {self._failed.str()}. Run it again: nothing counts twice."
            )
