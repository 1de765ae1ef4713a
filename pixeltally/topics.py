"""Kafka's topics, made once with the settings that the design depends on."""

import time
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pixeltally.settings import Settings

HITS = "pixeltally.hits"
FACTS = "pixeltally.facts"
MINUTES = "pixeltally.minutes"
DEAD = "pixeltally.dead"
SEGMENTS = "pixeltally.segments"
ALL = (HITS, FACTS, MINUTES, DEAD, SEGMENTS)

#: Who reads hits, and who writes what came of them into ClickHouse.
STREAMS_GROUP = "pixeltally-streams"
SINK_GROUP = "pixeltally-sink"

#: Headers of a message of facts: where its tally stands, and the settings that it counted by. Those of a message of
#: hits that was restored from the archive, and of its facts: when the broker took it first, epoch milliseconds.
HEAD, COUNTED_BY, RESTORED = "head", "counted_by", "restored"

#: Largest message a topic takes, in bytes: a full batch of facts and room to spare.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

#: For clients that live long: without metadata for so long they ask the bootstrap servers again. One that asked a
#: broker which had only just started knows of none afterwards, and by default sleeps for five minutes.
LONG_LIVED = {"metadata.recovery.rebootstrap.trigger.ms": 10_000}

#: For who reads one partition after the other: a broker that waits for more to come answers nothing else meanwhile.
PROMPT = {"fetch.wait.max.ms": 10}

#: Messages that are read at a time, and how long none may come while some are still to be read.
_AT_A_TIME, _SILENT_S = 100, 10.0

#: What Kafka answers about a group until somebody looks after it, and how long that is waited for.
_COORDINATOR_S = 10.0
_NO_COORDINATOR_YET = ("COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR")

_CONFIG = {
    # The broker's clock stamps messages, so that a wrong clock at ingest can't move a watermark.
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MAX_MESSAGE_BYTES),
}


def ensure(settings: Settings, waiting: Callable[[str], None] = lambda _: None) -> int:
    """Make what topics are missing, waiting for the broker; return the partitions of `HITS`.

    `waiting` is told again and again why the broker can't be asked.
    """
    admin = AdminClient({"bootstrap.servers": settings.kafka_servers, "log_level": 0})
    while True:
        try:
            existing = admin.list_topics(timeout=5).topics
        except KafkaException as error:
            waiting(error.args[0].str())
            continue
        if all(topic in existing and existing[topic].partitions for topic in ALL):
            return len(existing[HITS].partitions)
        missing = [topic for topic in ALL if topic not in existing]
        if missing:
            _create(admin, missing, settings.partitions)
        time.sleep(0.1)


def await_coordinator(settings: Settings, group: str) -> None:
    """Wait until a broker looks after a group: where there has been none before, Kafka needs a moment for that.

    No longer than ten seconds: where none ever does, whoever joins the group has to say so.
    """
    admin = AdminClient({"bootstrap.servers": settings.kafka_servers, "log_level": 0})
    until = time.monotonic() + _COORDINATOR_S
    while time.monotonic() < until:
        try:
            admin.describe_consumer_groups([group], request_timeout=_COORDINATOR_S)[group].result()
            return
        except KafkaException as error:
            if error.args[0].name() not in _NO_COORDINATOR_YET:
                return
        time.sleep(0.1)


def place(message: Message) -> tuple[str, int, int]:
    """(topic, partition, offset) of a consumed message; raises KafkaException where it reports an error."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if message.error() or topic is None or partition is None or offset is None:
        raise KafkaException(message.error())
    return topic, partition, offset


def read(consumer: Consumer, start: TopicPartition, end: int) -> Iterator[Message]:
    """The messages of a partition from an offset up to `end`. Raises KafkaException, also where none comes for long."""
    position, heard = start.offset, time.monotonic()
    if position < end:
        consumer.assign([start])
    while position < end:
        for message in consumer.consume(_AT_A_TIME, timeout=0.05):
            heard = time.monotonic()
            position = place(message)[2] + 1
            if position <= end:
                yield message
        if time.monotonic() > heard + _SILENT_S:
            raise KafkaException(f"no answer from Kafka while reading {start.topic}/{start.partition} at {position}")


def _create(admin: AdminClient, names: list[str], partitions: int) -> None:
    topics = [NewTopic(name, partitions, config=_CONFIG) for name in names]
    for made in admin.create_topics(topics).values():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].name() not in (
                "TOPIC_ALREADY_EXISTS",
                "_TIMED_OUT",
                "INVALID_REPLICATION_FACTOR",
            ):
                raise
