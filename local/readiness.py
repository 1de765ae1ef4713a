"""Is a part ready? Those with a port are asked; those without say so, by systemd's sd_notify protocol."""

import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

TIMEOUT_S = 0.5

Check = Callable[[], bool]


def answers(url: str) -> Check:
    """Does a GET of `url` give 200?"""

    def check() -> bool:
        try:
            with urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    return check


def has_metadata(servers: str) -> Check:
    """Does Kafka name its brokers?"""

    def check() -> bool:
        try:
            admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
            return bool(admin.list_topics(timeout=TIMEOUT_S).brokers)
        except KafkaException:
            return False

    return check


class Notices:
    """What a program tells of itself (`pixeltally.process`) through the socket that its NOTIFY_SOCKET names."""

    def __init__(self, path: Path) -> None:
        self._said: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    def ready(self) -> bool:
        """Does it work?"""
        return self._read().get("READY") == "1"

    def refusal(self) -> str | None:
        """Its sentence, where it refused to start."""
        said = self._read()
        return said.get("STATUS", "") if said.get("EXIT_STATUS") == "2" else None

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> dict[str, str]:
        with suppress(BlockingIOError):
            while True:
                notice = self._socket.recv(65536).decode(errors="replace")
                self._said |= (line.partition("=")[::2] for line in notice.splitlines())
        return self._said
