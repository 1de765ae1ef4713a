"""Ships the spool to Kafka: reads lines in order, packs those of a partition into messages, keeps account.

A process of its own, so that answering and shipping don't share an interpreter. A chunk of lines is acknowledged
in the spool once Kafka has acknowledged every message made of it; after a crash the rest is sent again, and
streams drop what they have seen by (node, seq). A thread closes the segments that are wholly acknowledged.
"""

import logging
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message
from setproctitle import setproctitle

from ingest import packing, spool, tail
from ingest.closing import Closer
from ingest.sending import producer
from pixeltally import lost_brokers, metrics, topics
from pixeltally.outage import Outage, quiet
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings

log = logging.getLogger("shipper")

#: Read at most so much of a node at a time, as full messages for four partitions, and have at most so much of all
#: nodes unacknowledged.
CHUNK_BYTES = 2 * 1024 * 1024
IN_FLIGHT_BYTES = 16 * 1024 * 1024

#: What a message in flight takes of memory beside its lines.
MESSAGE_OVERHEAD_BYTES = 2048

#: How long the shipper rests when nothing new is there; the age that it adds to a hit.
POLL_S = 0.02

#: How often it looks after what isn't lines, and says how it is.
REPORT_S = 1.0

#: How long a stopping shipper waits for Kafka; the rest stays in the spool.
FLUSH_S = 10.0

_KEPT = "hits are kept in the spool"


@dataclass
class Chunk:
    """Lines read at one go, on their way to Kafka."""

    end: int  #: position in the spool that follows them
    size_bytes: int
    waiting: int = 0  #: messages not yet acknowledged


class Node:
    """One node's reader and its chunks in flight, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.reader = tail.Reader(folder)
        self.in_flight: deque[Chunk] = deque()
        self.problem = ""  #: why it can't be read or its position not be noted
        self._outage = Outage(log, f"the spool's folder {folder}", "it is tried again, and nothing of it is deleted")

    def in_flight_bytes(self) -> int:
        """What of it waits for Kafka."""
        return sum(chunk.size_bytes for chunk in self.in_flight)

    def read(self) -> list[tuple[int, bytes]]:
        """The next lines; none where the disk fails, which must not keep other nodes waiting."""
        try:
            return self.reader.read(CHUNK_BYTES)
        except OSError as error:
            self.problem = str(error)
            return []

    def acknowledge(self) -> None:
        """Give back to the spool what has wholly arrived."""
        end = None
        while self.in_flight and not self.in_flight[0].waiting:
            end = self.in_flight.popleft().end
        if end is None:
            return
        try:
            self.reader.acknowledge(end)
        except OSError as error:
            # The next acknowledgement says this one too; until then a restart would only send again.
            self.problem = str(error)

    def report(self) -> str:
        """What has gone wrong with it since the last report."""
        problem, self.problem = self.problem, ""
        self._outage.note(problem)
        return problem


class Shipper:
    """Moves lines of every node of a spool to Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.spool
        self._kafka = Outage(log, f"Kafka ({settings.kafka_servers})", _KEPT)
        partitions = topics.ensure(settings, waiting=self._kafka.note)
        self._pack = packing.packer(settings, partitions)
        self._nodes: dict[str, Node] = {}
        self._failed: KafkaError | None = None
        # Nothing is given up while Kafka is away, and never does the queue stop us: what is in flight is counted here.
        self._producer = producer(
            settings, quiet("shipper.kafka"), patience_ms=0, queue_kbytes=16 * IN_FLIGHT_BYTES // 1024
        )
        self._look = lost_brokers.Look(settings, self._producer)

    def step(self) -> bool:
        """Ship what is new, a chunk of each node at most; whether there was anything."""
        moved = False
        folders = spool.nodes(self._root)
        for folder in folders:
            if folder.name not in self._nodes:
                self._nodes[folder.name] = Node(folder)
            node = self._nodes[folder.name]
            if node.in_flight_bytes() < IN_FLIGHT_BYTES // len(folders):
                moved = self._ship(node) or moved
        self._producer.poll(0)
        if self._failed:
            raise KafkaException(self._failed)
        for node in self._nodes.values():
            node.acknowledge()
        return moved

    def rest(self) -> None:
        """Wait for acknowledgements, or for new lines."""
        self._producer.poll(POLL_S)

    def flush(self, seconds: float) -> bool:
        """Wait until Kafka has acknowledged everything read, for at most `seconds`; whether it has."""
        left = self._producer.flush(seconds)
        for node in self._nodes.values():
            node.acknowledge()
        return not left

    def report(self) -> str:
        """Look after the nodes; return what is wrong, empty if nothing."""
        self._look.end_if_lost()
        error = lost_brokers.ask(self._producer)
        kafka = str(error.str()) if error else ""
        self._kafka.note(kafka)
        for name, node in list(self._nodes.items()):
            if not node.in_flight and node.reader.remove_if_idle():
                del self._nodes[name]
        metrics.SPOOL_BACKLOG.set(sum(node.reader.backlog_bytes() for node in self._nodes.values()))
        problems = [f"Kafka doesn't answer: {kafka}"] if kafka else []
        problems += [problem for node in self._nodes.values() if (problem := node.report())]
        return "; ".join(problems)

    def _ship(self, node: Node) -> bool:
        lines = node.read()
        if not lines:
            return False
        chunk = Chunk(node.reader.position, 0)
        node.in_flight.append(chunk)
        for topic, partition, value in self._pack(node.reader.node, lines):
            chunk.size_bytes += len(value) + MESSAGE_OVERHEAD_BYTES
            self._send(chunk, topic, partition, value)
        return True

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


def _lock(root: Path) -> int:
    """Wait until no other process ships this spool, and keep it so until this process ends."""
    waits = Outage(log, "the shipper's lock", "another shipper holds it, and one is enough")
    while True:
        handle = spool.try_lock(root, "shipper.lock")
        if handle is not None:
            return handle
        waits.note(f"{root} is being shipped")
        time.sleep(0.2)


def _write_status(settings: Settings, text: str) -> None:
    try:
        (settings.spool / "shipper.status").write_text(text)
    except OSError as error:
        log.error("the shipper can't say how it is: %s", error)


def main() -> None:
    """The process: ships until SIGTERM, then ships what is left and ends."""
    setproctitle("pixeltally ingest shipper")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Sent to who holds a lease (`ingest/tail.py`) when another opens the file; unheard it would end the process.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    die_with_parent()
    settings = Settings.from_env()
    lock = _lock(settings.spool)
    tail.finish_removals(settings.spool)
    shipper = Shipper(settings)
    # Only now: while Kafka is waited for, nothing is in hand and SIGTERM may end the process as it likes.
    signal.signal(signal.SIGTERM, stop)
    next_report = 0.0
    with Closer(settings) as closer:
        while shipper.step() or not stopping:
            shipper.rest()
            if time.monotonic() > next_report:
                _write_status(settings, shipper.report())
                next_report = time.monotonic() + REPORT_S
        if shipper.flush(FLUSH_S):
            closer.finish()
    os.close(lock)


if __name__ == "__main__":
    main()
