"""Questions whose answer says that a part is ready. Each blocks for two seconds at most."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from urllib.request import urlopen

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

TIMEOUT_S = 2.0

Check = Callable[[], bool]

_HEARTBEAT = 12
_GROUP_ID_NOT_FOUND = 69


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
    kafka = _Admin(servers)

    def check() -> bool:
        with suppress(KafkaException):
            return bool(kafka.client.list_topics(timeout=TIMEOUT_S).brokers)
        return False

    return check


def is_consumed_by(servers: str, group: str) -> Check:
    """Is the consumer group stable: does it have members, and have they shared out the partitions?"""
    kafka = _Admin(servers)

    def check() -> bool:
        try:
            # Not describe_consumer_groups: librdkafka 2.16 aborts on it while Kafka has no coordinator yet.
            asked = kafka.client.list_consumer_groups(request_timeout=TIMEOUT_S, states={ConsumerGroupState.STABLE})
            found = asked.result()
        except KafkaException as error:
            return _is_unsupported(error.args[0]) and _group_exists(servers, group)
        if any(map(_is_unsupported, found.errors)):
            return _group_exists(servers, group)
        return group in {each.group_id for each in found.valid}

    return check


def _is_unsupported(error: KafkaError) -> bool:
    return bool(error.code() == KafkaError._UNSUPPORTED_FEATURE)


class _Admin:
    """A client that is made when first asked, and once."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._client: AdminClient | None = None

    @property
    def client(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient({"bootstrap.servers": self._servers, "log_level": 0})
        return self._client


def _group_exists(servers: str, group: str) -> bool:
    """For the in-memory broker, which lists no groups: it tells a stranger's heartbeat whether the
    stranger or the whole group is unknown to it."""
    host, port = servers.split(",", maxsplit=1)[0].rsplit(":", 1)
    body = struct.pack(">hhi", _HEARTBEAT, 0, 0) + _text("pixeltally") + _text(group)
    body += struct.pack(">i", -1) + _text("nobody")
    with suppress(OSError), socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as reader:
            answer = reader.read(10)
        return len(answer) == 10 and struct.unpack(">iih", answer)[2] != _GROUP_ID_NOT_FOUND
    return False


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()
