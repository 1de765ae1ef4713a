"""Hands facts, minutes and dead letters to Kafka: librdkafka packs and sends them in a thread of its own.

Faust's own producer packs in the loop that counts, and only at levels that cost twice as much.

Facts are packed as hits are, by lz4. zstd would make half as many bytes of them (71 instead of 143 each), and cost a
tenth of the worker's CPU.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence

from confluent_kafka import KafkaError, Message, Producer

from pixeltally import lost_brokers, topics
from pixeltally.settings import Settings

log = logging.getLogger("streams")

_POLL_S = 0.5


class Outlet:
    """Sends; whatever can't be sent ends the process, since what follows must not reach Kafka without it."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(
            {
                **topics.LONG_LIVED,
                "bootstrap.servers": settings.kafka_servers,
                "log_level": 0,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": topics.MAX_MESSAGE_BYTES,
            }
        )
        self._look = lost_brokers.Look(settings, self._producer)
        self._sent = Sent()
        threading.Thread(target=self._poll, daemon=True, name="outlet").start()

    def send(self, topic: str, partition: int, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Send a message, some time soon."""
        self._sent.add()
        self._producer.produce(topic, value, partition=partition, headers=list(headers), on_delivery=self._sent.arrived)

    def sent(self) -> "Sent":
        """What was sent since this was last asked."""
        sent, self._sent = self._sent, Sent()
        return sent

    def _poll(self) -> None:
        while True:
            self._producer.poll(_POLL_S)
            self._look.end_if_lost()


class Sent:
    """Messages that are waited for together."""

    def __init__(self) -> None:
        self._missing = 0
        self._lock = threading.Lock()
        self._waiting: asyncio.Future[None] | None = None

    def add(self) -> None:
        """One more."""
        with self._lock:
            self._missing += 1

    def arrived(self, error: KafkaError | None, _message: Message) -> None:
        """One arrived, or failed."""
        if error is not None:
            log.critical("facts could not be handed to Kafka: %s", error)
            os._exit(1)
        with self._lock:
            self._missing -= 1
            if self._missing == 0 and self._waiting is not None:
                self._waiting.get_loop().call_soon_threadsafe(self._waiting.set_result, None)

    async def wait(self) -> None:
        """Wait until all of them are in Kafka."""
        with self._lock:
            if not self._missing:
                return
            self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting
