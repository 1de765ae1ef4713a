"""Ends a worker that stands still: Kafka answers, it holds hits, and nobody counts them for a minute.

Seen after restarts of a busy broker: the client slept on, alive and silent. The next process takes up the count.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pixeltally import lost_brokers, topics
from pixeltally.settings import Settings

log = logging.getLogger("streams")

LOOK_S = 10.0
STILL_S = 60.0

_TIMEOUT_S = 5.0


class Watch:
    """Looks at what the group has acknowledged of partitions.

    `partitions` says which: those of this worker; all where it has none; None while they are restored.
    """

    def __init__(self, settings: Settings, partitions: Callable[[], Collection[int] | None]) -> None:
        self._partitions = partitions
        self._seen: dict[int, tuple[int, float]] = {}  #: offset acknowledged, and since when it is that
        self._consumer = Consumer(
            {
                **topics.LONG_LIVED,
                "bootstrap.servers": settings.kafka_servers,
                "group.id": topics.STREAMS_GROUP,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._look_for_brokers = lost_brokers.Look(settings, self._consumer)

    def start(self) -> None:
        """Look again and again, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True, name="watch").start()

    def still(self, now_s: float) -> list[int]:
        """Partitions that hold hits and have not moved for too long."""
        before, self._seen = self._seen, {}
        try:
            for partition in self._asked():
                acknowledged, waits = self._look(partition)
                known, since_s = before.get(partition, (acknowledged, now_s))
                self._seen[partition] = acknowledged, since_s if waits and known == acknowledged else now_s
        except KafkaException:
            self._seen = {}  # it is away, and nobody can count
        return [partition for partition, (_, since_s) in self._seen.items() if now_s - since_s > STILL_S]

    def _asked(self) -> Collection[int]:
        asked = self._partitions()
        if asked is None:
            return ()
        return asked or self._consumer.list_topics(topics.HITS, timeout=_TIMEOUT_S).topics[topics.HITS].partitions

    def _look(self, partition: int) -> tuple[int, bool]:
        """Up to where a partition's hits are acknowledged, and whether any wait behind that."""
        place = TopicPartition(topics.HITS, partition)
        [committed] = self._consumer.committed([place], timeout=_TIMEOUT_S)
        low, end = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        return committed.offset, end > max(committed.offset, low)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self._look_for_brokers.end_if_lost()
            if still := self.still(time.monotonic()):
                log.critical("nothing of partitions %s was counted for %.0f s: starting again", still, STILL_S)
                os._exit(1)
