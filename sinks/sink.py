"""Writes facts, minutes and dead letters into ClickHouse: poll, batch, insert, commit, in that order.

Lines go in as they came. Every table takes the same row again without counting it twice, so a batch may be inserted
again at any time: after a crash, a lost answer, or a rebalance.
"""

import logging
import os
import signal
import time
from collections import deque
from contextlib import nullcontext

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from pixeltally import lost_brokers, metrics, topics
from pixeltally.database import DATABASE, connect
from pixeltally.hit import Dead
from pixeltally.identity import hit_id
from pixeltally.outage import Outage, quiet
from pixeltally.process import say_ready, share_heap
from pixeltally.settings import Settings
from sinks import charges, first_visits, reconciling, retention, slices
from sinks.migrate import migrate
from sinks.order import Order

log = logging.getLogger("sink")

#: Where each topic's lines go.
TABLES = {
    topics.FACTS: "facts_in",
    topics.MINUTES: "minute_rows",
    topics.DEAD: "dead_letters_in",
    topics.SEGMENTS: "segments",
}

#: A batch is inserted when it is so large or so old.
BATCH_LINES = 100_000
BATCH_S = 0.5

_RETRY_S = 0.5

#: What a batch holds twice is merged later, or by FINAL, as what two batches hold. No column of these tables has a
#: default of its own; and lines that one thread reads cost less. To say so halves what it takes to read them.
_INSERT = {
    "optimize_on_insert": 0,
    "input_format_defaults_for_omitted_fields": 0,
    "input_format_parallel_parsing": 0,
}

#: Errors of ClickHouse that say a row can't be read, whatever is done.
_ROW_ERRORS = (
    "CANNOT_PARSE",
    "INCORRECT_DATA",
    "TYPE_MISMATCH",
    "ARGUMENT_OUT_OF_BOUND",
    "UNKNOWN_ELEMENT",
    "DECIMAL",
)


Lines = tuple[str, bytes]  #: one or more, and where they stand


class Batch:
    """Messages' lines by topic, and the offsets that follow them."""

    def __init__(self) -> None:
        self.lines: dict[str, list[Lines]] = {topic: [] for topic in TABLES}
        self.offsets: dict[tuple[str, int], int] = {}
        self.size = 0
        self.began = time.monotonic()

    def add(self, message: Message) -> None:
        """Take a message's lines."""
        topic, partition, offset = topics.place(message)
        if value := message.value():
            self.lines[topic].append((f"{topic}/{partition}@{offset}", value))
            self.size += value.count(b"\n") + 1
        self.offsets[topic, partition] = offset + 1

    def is_due(self) -> bool:
        """Whether it is large or old enough to be inserted."""
        if not self.offsets:
            self.began = time.monotonic()
        return self.size >= BATCH_LINES or time.monotonic() - self.began >= BATCH_S


class Sink:
    """Moves what Kafka holds into ClickHouse."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._client = client
        self._stopping = False
        self._batch = Batch()
        self._early: deque[Message] = deque()  #: came while ClickHouse was waited for, by a rebalance
        self._kafka = Outage(log, f"Kafka ({settings.kafka_servers})", "what it holds is written when it is back")
        kafka_log = quiet("sink.kafka")
        self._consumer = Consumer(
            {
                **topics.LONG_LIVED,
                "bootstrap.servers": settings.kafka_servers,
                "group.id": topics.SINK_GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,
                "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 65_536,
            },
            logger=kafka_log,
        )
        self._producer = Producer(
            {**topics.LONG_LIVED, "bootstrap.servers": settings.kafka_servers, "acks": "all"}, logger=kafka_log
        )
        self._look = lost_brokers.Look(settings, self._consumer, self._producer)

    def run(self) -> None:
        """Write until stopped; what is in hand then is written first."""
        self._consumer.subscribe(
            list(TABLES), on_assign=lambda *_: say_ready(), on_revoke=self._forget, on_lost=self._forget
        )
        while not self._stopping:
            message = self._early.popleft() if self._early else self._consumer.poll(0.05)
            if message is not None:
                self._batch.add(message)
            if self._batch.is_due():
                self._write()
            self._look.end_if_lost()
            self._kafka.note(self._look.problem)
        self._write()
        self._consumer.close()

    def stop(self, *_: object) -> None:
        """Stop after the batch in hand."""
        self._stopping = True

    def has_first(self) -> bool:
        """Whether this is the sink, of several, that has the first partition of facts."""
        return any((each.topic, each.partition) == (topics.FACTS, 0) for each in self._consumer.assignment())

    def _forget(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """What isn't committed yet, its next owner will read again."""
        self._batch = Batch()
        self._early.clear()

    def _write(self) -> None:
        batch = self._batch
        for topic, lines in batch.lines.items():
            if lines:
                self._insert(TABLES[topic], lines)
        if self._batch is batch and batch.offsets:
            self._batch = Batch()
            self._commit(batch.offsets)

    def _commit(self, offsets: dict[tuple[str, int], int]) -> None:
        """Commit what is written; where Kafka doesn't take that now, the next batch commits it, too."""
        try:
            places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            log.warning("Kafka took no commit, trying again with the next batch: %s", error.args[0].str())
            self._batch.offsets = offsets

    def _insert(self, table: str, lines: list[Lines]) -> None:
        """Insert lines; what ClickHouse refuses for its content is halved until the bad line is alone."""
        while True:
            try:
                block = b"\n".join(each for _, each in lines)
                with metrics.SINK_INSERT.labels(table).time():
                    self._client.raw_insert(table, insert_block=block, fmt="JSONEachRow", settings=_INSERT)
                metrics.SINK_ROWS.labels(table).inc(block.count(b"\n") + 1)
                return
            except OperationalError as error:
                log.warning("ClickHouse is away, waiting: %s", error)
                self._wait()
            except DatabaseError as error:
                if not any(name in str(error) for name in _ROW_ERRORS):
                    log.warning("ClickHouse refuses, trying again: %s", error)
                    self._wait()
                    continue
                if len(lines) == 1:
                    lines = _apart(*lines[0])
                if len(lines) == 1:
                    self._bury(*lines[0], str(error))
                    return
                middle = len(lines) // 2
                self._insert(table, lines[:middle])
                self._insert(table, lines[middle:])
                return

    def _wait(self) -> None:
        """Wait a little, with the partitions paused, so that the group does not take us for dead."""
        if self._stopping:
            raise SystemExit("stopped while ClickHouse was away; what is not written is still in Kafka")
        held = self._consumer.assignment()
        self._consumer.pause(held)
        # Partitions that a rebalance gives to it meanwhile are not paused: what comes of them must not be passed over.
        message = self._consumer.poll(_RETRY_S)
        if message is not None:
            self._early.append(message)
        # What a rebalance took away and gives back would still be paused.
        self._consumer.resume(held)

    def _bury(self, place: str, line: bytes, error: str) -> None:
        log.warning("%s can't be inserted, it goes to %s: %s", place, topics.DEAD, error.splitlines()[0])
        now = time.time_ns() // 1_000_000
        dead = Dead(hit_id(0, place, 0), now, "refused-by-clickhouse", place, line.decode("utf-8", "replace"))
        self._producer.produce(topics.DEAD, msgspec.json.encode(dead), partition=0)
        if self._producer.flush(30):
            raise KafkaException(f"{place} could not be handed to {topics.DEAD}")


def _apart(place: str, lines: bytes) -> list[Lines]:
    """A message's lines, each with its own place."""
    if "#" in place:
        return [(place, lines)]
    return [(f"{place}#{number}", line) for number, line in enumerate(lines.split(b"\n")) if line]


def run(settings: Settings) -> None:
    """Migrate, see to the retention, then write until SIGTERM."""
    share_heap()
    metrics.serve(settings.host, settings.sink_metrics_port)
    topics.ensure(settings)
    connect(settings, database="default").command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    client = connect(settings)
    for name in migrate(client):
        log.info("migrated %s", name)
    retention.start(settings)
    sink = Sink(settings, client)
    reconciling.start(settings, sink.has_first)
    slices.start(settings, sink.has_first)
    first_visits.start(settings, sink.has_first)
    charges.start(settings, sink.has_first)
    signal.signal(signal.SIGTERM, sink.stop)
    signal.signal(signal.SIGINT, sink.stop)
    with Order(settings) if settings.archive else nullcontext():
        sink.run()
    # Upkeep may be left in the middle of anything. As the interpreter ends, it would stumble over what is gone already.
    os._exit(0)
