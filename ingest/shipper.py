"""Ships the spool to Kafka: reads lines in order, packs those of a partition into messages, keeps account.

A process of its own, so that answering and shipping don't share an interpreter. A chunk of lines is acknowledged
in the spool once Kafka has acknowledged every message made of it; after a crash the rest is sent again, and
streams drop what they have seen by (node, seq).
"""

import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from setproctitle import setproctitle

from ingest import request, spool
from ingest.reading import Uncountable, reader
from ingest.redaction import redactor
from pixeltally import metrics, topics
from pixeltally.hit import Dead, Hit
from pixeltally.identity import hit_id
from pixeltally.partition import key, partitions
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings

log = logging.getLogger("shipper")

#: A message holds at most so many lines and bytes.
MESSAGE_LINES = 1000
MESSAGE_BYTES = 512 * 1024

#: Read at most so much of a node at a time, and have at most so much unacknowledged.
CHUNK_BYTES = 1024 * 1024
IN_FLIGHT_BYTES = 32 * 1024 * 1024

#: How long the shipper rests when nothing new is there; the age that it adds to a hit.
POLL_S = 0.02

#: How long a stopping shipper waits for Kafka; the rest stays in the spool.
FLUSH_S = 10.0


@dataclass
class Chunk:
    """Lines read at one go, on their way to Kafka."""

    end: int  #: position in the spool that follows them
    size_bytes: int
    waiting: int = 0  #: messages not yet acknowledged


class Node:
    """One node's reader and its chunks in flight, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.reader = spool.Reader(folder)
        self.in_flight: deque[Chunk] = deque()

    def acknowledge(self) -> None:
        """Give back to the spool what has wholly arrived."""
        end = None
        while self.in_flight and not self.in_flight[0].waiting:
            end = self.in_flight.popleft().end
        if end is not None:
            self.reader.acknowledge(end)


class Shipper:
    """Moves lines of every node of a spool to Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.spool
        self._read = reader(settings)
        self._redact = redactor(settings)
        self._partitions = topics.ensure(settings)
        self._nodes: dict[str, Node] = {}
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_servers,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "message.max.bytes": topics.MAX_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": 2 * IN_FLIGHT_BYTES // 1024,
                "linger.ms": 5,
                "compression.type": "lz4",
            },
            logger=log,
        )

    def step(self) -> bool:
        """Ship what is new, a chunk of each node at most; whether there was anything."""
        moved = False
        for folder in spool.nodes(self._root):
            node = self._nodes.setdefault(folder.name, Node(folder))
            if sum(chunk.size_bytes for chunk in node.in_flight) < IN_FLIGHT_BYTES:
                moved = self._ship(node) or moved
        self._producer.poll(0)
        if self._failed:
            raise KafkaException(self._failed)
        for node in self._nodes.values():
            node.acknowledge()
        metrics.SPOOL_BACKLOG.set(sum(node.reader.backlog_bytes() for node in self._nodes.values()))
        return moved

    def rest(self) -> None:
        """Wait for acknowledgements, or for new lines."""
        self._producer.poll(POLL_S)

    def flush(self, seconds: float) -> None:
        """Wait until Kafka has acknowledged everything read, for at most `seconds`."""
        self._producer.flush(seconds)
        for node in self._nodes.values():
            node.acknowledge()

    def kafka_problem(self) -> str:
        """Why Kafka can't be reached; empty where it can."""
        try:
            self._producer.list_topics(topics.HITS, timeout=1)
        except KafkaException as error:
            return f"Kafka doesn't answer: {error.args[0].str()}"
        return ""

    def _ship(self, node: Node) -> bool:
        lines = node.reader.read(CHUNK_BYTES)
        if not lines:
            return False
        chunk = Chunk(node.reader.position, sum(len(line) for _, line in lines))
        node.in_flight.append(chunk)
        hits, dead = self._judge(node.reader.node, lines)
        for partition, value in pack(hits, self._partitions):
            self._send(chunk, topics.HITS, partition, value)
        if dead:
            self._send(chunk, topics.DEAD, 0, b"\n".join(map(msgspec.json.encode, dead)))
        metrics.SHIPPED.inc(len(hits))
        return True

    def _judge(self, node: str, lines: list[tuple[int, bytes]]) -> tuple[list[Hit], list[Dead]]:
        hits, dead = [], []
        for seq, line in lines:
            try:
                hits.append(self._read(_request(line), node, seq))
            except Uncountable as reason:
                metrics.DEAD.labels(str(reason)).inc()
                dead.append(_dead_letter(node, seq, self._redact(line), str(reason)))
        return hits, dead

    def _send(self, chunk: Chunk, topic: str, partition: int, value: bytes) -> None:
        chunk.waiting += 1
        arrived = partial(self._arrived, chunk)
        while True:
            try:
                self._producer.produce(topic, value, partition=partition, on_delivery=arrived)
                return
            except BufferError:
                self._producer.poll(POLL_S)

    def _arrived(self, chunk: Chunk, error: KafkaError | None, _message: Message) -> None:
        if error:
            self._failed = error
        else:
            chunk.waiting -= 1


def _request(line: bytes) -> request.Request:
    try:
        return request.decode(line.decode("utf-8", "replace"))
    except msgspec.DecodeError:
        raise Uncountable("unreadable-line") from None


def _dead_letter(node: str, seq: int, line: str, reason: str) -> Dead:
    now = time.time_ns() // 1_000_000
    return Dead(hit_id(0, node, seq), now, reason, f"spool {node}@{seq}", line)


def pack(hits: list[Hit], count: int) -> Iterator[tuple[int, bytes]]:
    """(partition, value) of the messages that hold the hits, each partition's in order."""
    by_partition: dict[int, list[bytes]] = {}
    keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
    encode = msgspec.json.Encoder().encode
    for hit, partition in zip(hits, partitions(keys, count), strict=True):
        by_partition.setdefault(partition, []).append(encode(hit))
    for partition, lines in by_partition.items():
        batch: list[bytes] = []
        size = 0
        for line in lines:
            if batch and (len(batch) == MESSAGE_LINES or size + len(line) >= MESSAGE_BYTES):
                yield partition, b"\n".join(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line) + 1
        yield partition, b"\n".join(batch)


def main() -> None:
    """The process: ships until SIGTERM, then ships what is left and ends."""
    setproctitle("pixeltally ingest shipper")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    settings = Settings.from_env()
    shipper = Shipper(settings)
    # Only now: while Kafka is waited for, nothing is in hand and SIGTERM may end the process as it likes.
    signal.signal(signal.SIGTERM, stop)
    next_report = 0.0
    while shipper.step() or not stopping:
        shipper.rest()
        if time.monotonic() > next_report:
            (settings.spool / "shipper.status").write_text(shipper.kafka_problem())
            next_report = time.monotonic() + 1
    shipper.flush(FLUSH_S)


if __name__ == "__main__":
    main()
