"""Says when what stands in Kafka has reached ClickHouse."""

import time
from collections.abc import Callable
from math import inf

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pixeltally import topics
from pixeltally.errors import Refused
from pixeltally.settings import Settings

#: How long a command waits for tiers that are behind.
PATIENCE_S = 30.0

#: How long nothing may arrive before a wait that something still moves in is given up.
STILL_S = 60.0

_TIMEOUT_S = 10.0
_LOOK_S = 0.2
#: Where each look also counts what is there.
_COUNT_S = 0.25

Offsets = dict[tuple[str, int], int]


def settle(settings: Settings) -> None:
    """Wait, for a command, until all hits that are in Kafka are in ClickHouse."""
    until = time.monotonic() + PATIENCE_S
    try:
        arrival = Arrival(settings)
        while not arrival.is_complete():
            if time.monotonic() > until:
                raise Refused(
                    f"not all that is in Kafka was in ClickHouse within {PATIENCE_S:.0f} s: see that"
                    " `pixeltally streams` and `pixeltally sink` run and have caught up, then run it again."
                )
            time.sleep(_LOOK_S)
        arrival.close()
    except KafkaException as error:
        raise Refused(f"Kafka doesn't answer on {settings.kafka_servers}: {error.args[0].str()}.") from None


def follow(settings: Settings, count: Callable[[], int], wanted: float = inf) -> None:
    """Wait until all hits that are in Kafka are in ClickHouse, or so many, for as long as `count` grows.

    Streams and sink say how far they are about once a second; it is often seen before that none is missing.
    """
    arrival, there, until = Arrival(settings), 0, time.monotonic() + STILL_S
    while not arrival.is_complete() and time.monotonic() < until:
        before, there = there, count()
        if there >= wanted:
            break
        if there > before:
            until = time.monotonic() + STILL_S
        time.sleep(_COUNT_S)
    arrival.close()


class Arrival:
    """All hits that are in Kafka when this is made: have streams counted them, and the sink written their facts?

    Raises KafkaException where the broker can't be asked.
    """

    def __init__(self, settings: Settings) -> None:
        self._streams = Group(settings, topics.STREAMS_GROUP)
        self._sink = Group(settings, topics.SINK_GROUP)
        self._hits = self._streams.ends(topics.HITS)
        self._found: Offsets | None = None  #: the facts and dead letters of those hits

    def is_complete(self) -> bool:
        """Whether they have, as far as the tiers have said: they say it about once a second."""
        if self._found is None:
            if not self._streams.has_passed(self._hits):
                return False
            self._found = self._sink.ends(topics.FACTS, topics.DEAD)
        return self._sink.has_passed(self._found)

    def close(self) -> None:
        """Let go of the broker."""
        self._streams.close()
        self._sink.close()


class Group:
    """A consumer group, looked at from outside."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": settings.kafka_servers, "group.id": name, "enable.auto.commit": False, "log_level": 0}
        )

    def ends(self, *names: str) -> Offsets:
        """The offset that follows the last message of each partition that holds any."""
        found: Offsets = {}
        held = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        for name in names:
            for number in held[name].partitions:
                first, end = self._consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_TIMEOUT_S)
                if end > first:
                    found[name, number] = end
        return found

    def has_passed(self, ends: Offsets) -> bool:
        """Whether the group has committed all before these offsets."""
        committed = self._consumer.committed([TopicPartition(*place) for place in ends], timeout=_TIMEOUT_S)
        return all(each.offset >= ends[each.topic, each.partition] for each in committed)

    def close(self) -> None:
        self._consumer.close()
