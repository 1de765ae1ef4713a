"""A running ingest tier, for tests that look at what it answers and at what it hands to Kafka."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from processes import answers, free_port, tier, wait_until

from pixeltally import topics


class Ingest:
    """A running ingest tier, and all that its shipper has put into Kafka."""

    def __init__(self, data: Path, broker: str, **environ: str) -> None:
        self.port, self.data = free_port(), data
        self.process: Popen[str] = tier(
            "ingest", data, PIXELTALLY_INGEST_PORT=str(self.port), PIXELTALLY_KAFKA=broker, **environ
        )
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: answers(f"{self.url}/readyz", self.process), "ready")
        self._consumer = Consumer({"bootstrap.servers": broker, "group.id": f"test-{self.port}"})
        held = self._consumer.list_topics(timeout=10).topics
        places = [
            TopicPartition(name, number, OFFSET_BEGINNING)
            for name in (topics.HITS, topics.DEAD)
            for number in held[name].partitions
        ]
        self._consumer.assign(places)
        self.hits: list[dict[str, object]] = []
        self.dead: list[dict[str, str]] = []
        self._closing = False
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        messages = []
        while messages or not self._closing:
            messages = self._consumer.consume(100, timeout=0.5)
            for message in messages:
                nodes = [folder.name for folder in (self.data / "spool").iterdir()]
                lines = [json.loads(line) for line in (message.value() or b"").split(b"\n")]
                if message.topic() == topics.HITS:
                    self.hits += [line for line in lines if line["node"] in nodes]
                else:
                    self.dead += [line for line in lines if any(f" {node}@" in line["origin"] for node in nodes)]

    @property
    def written_down(self) -> int:
        return len(self.hits) + len(self.dead)

    def workers(self) -> set[int]:
        return {each.pid for each in psutil.Process(self.process.pid).children()}

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        with self.connect() as client:
            received = b""
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while chunk := client.recv(1 << 20):
                    received += chunk
        return received

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        self._closing = True
        self._reader.join()
        self._consumer.close()
        return code
