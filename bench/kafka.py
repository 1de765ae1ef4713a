"""What stands in Kafka before and after a measured run."""

import time
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pixeltally import topics

_WAIT_S = 60.0


class Arrival(NamedTuple):
    """A message that was written to a topic: when, by the broker's clock in epoch milliseconds, and how many lines."""

    at_ms: int
    lines: int


def remove(servers: str, names: Iterable[str]) -> None:
    """Delete topics, where they are."""
    admin = _admin(servers)
    gone = set(names)
    there = gone & admin.list_topics(timeout=_WAIT_S).topics.keys()
    for done in admin.delete_topics(list(there)).values() if there else ():
        done.result()
    until = time.monotonic() + _WAIT_S
    while gone & admin.list_topics(timeout=_WAIT_S).topics.keys():
        if time.monotonic() > until:
            raise KafkaException(f"topics were not deleted within {_WAIT_S:.0f} s")
        time.sleep(0.05)


def renew(servers: str, names: Iterable[str], partitions: int, compact: bool = False) -> None:
    """Make empty topics, in place of those of the same names."""
    wanted = list(names)
    remove(servers, wanted)
    admin = _admin(servers)
    config = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact" if compact else "delete"}
    for done in admin.create_topics([NewTopic(name, partitions, config=config) for name in wanted]).values():
        done.result()


def forget_group(servers: str, group: str) -> None:
    """Delete a consumer group that has no members, where it is."""
    admin = _admin(servers)
    if group in {each.group_id for each in admin.list_consumer_groups().result().valid}:
        admin.delete_consumer_groups([group])[group].result()


def _admin(servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": servers, "log_level": 0})


def produce(servers: str, topic: str, messages: Iterable[tuple[int | bytes, bytes]]) -> None:
    """Write (partition or key, value) as the shipper does, and return when Kafka has acknowledged all."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "log_level": 0,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": topics.MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": 512 * 1024,
        }
    )
    for place, value in messages:
        where = {"partition": place} if isinstance(place, int) else {"key": place}
        while True:
            try:
                producer.produce(topic, value, **where)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(_WAIT_S):
        raise KafkaException(f"Kafka did not take all of {topic}")


def ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """The offset that the next message of each partition will get."""
    until = time.monotonic() + _WAIT_S
    while not (found := consumer.list_topics(topic, timeout=_WAIT_S).topics[topic].partitions):
        if time.monotonic() > until:
            raise KafkaException(f"{topic} has no partitions")
        time.sleep(0.05)  # a topic that was just made has none for a moment
    return {each: _end(consumer, TopicPartition(topic, each)) for each in found}


def _end(consumer: Consumer, place: TopicPartition) -> int:
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=_WAIT_S)[1])
        except KafkaException as error:
            # A partition that was just made has no leader for a moment.
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > until:
                raise


class Reader:
    """Reads a topic bit by bit: what came since the last time."""

    def __init__(self, servers: str, topic: str) -> None:
        """Reads what is written from now on."""
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "log_level": 0,
                "group.id": "bench",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
                "queued.max.messages.kbytes": 256 * 1024,
            }
        )
        self._next = ends(self._consumer, topic)

    def waiting(self) -> int:
        """How many messages came since the last time; costs Kafka next to nothing."""
        return sum(end - self._next[partition] for partition, end in ends(self._consumer, self._topic).items())

    def arrivals(self) -> list[Arrival]:
        """What came since the last time, in order of time."""
        last = ends(self._consumer, self._topic)
        self._consumer.assign([TopicPartition(self._topic, each, offset) for each, offset in self._next.items()])
        found = []
        while self._next != last:
            for message in self._consumer.consume(1000, timeout=0.2):
                _, partition, offset = topics.place(message)
                if offset < last[partition]:
                    value = message.value() or b""
                    found.append(Arrival(message.timestamp()[1], value.count(b"\n") + 1 if value else 0))
                    self._next[partition] = offset + 1
        self._consumer.unassign()
        return sorted(found)

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()
