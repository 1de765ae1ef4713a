"""Looks at what stands in a topic, beside those who consume it: nothing is committed."""

from confluent_kafka import Consumer

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
            **topics.PROMPT,
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
