"""Questions whose answer says that a part is ready. Each blocks for a few seconds at most.

Kafka is asked in its own protocol, in requests that need no client: librdkafka's admin client can abort the
whole process when it describes a group while the broker starts (librdkafka issue 4605), and this process
supervises all others.
"""

import socket
import struct
from collections.abc import Callable
from http.client import HTTPException
from urllib.request import urlopen

TIMEOUT_S = 2.0

Check = Callable[[], bool]

_METADATA = 3
_FIND_COORDINATOR = 10
_HEARTBEAT = 12
_DESCRIBE_GROUPS = 15

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

    def check() -> bool:
        try:
            return _ask(_first(servers), _METADATA, _int32(0)).int32() > 0
        except (OSError, struct.error):
            return False

    return check


def is_consumed_by(servers: str, group: str) -> Check:
    """Has the consumer group members, and have they shared out the partitions?"""

    def check() -> bool:
        try:
            found = _ask(_first(servers), _FIND_COORDINATOR, _text(group))
            error, _node, host, port = found.int16(), found.int32(), found.text(), found.int32()
            return not error and _is_stable((host, port), group)
        except (OSError, struct.error):
            return False

    return check


def _is_stable(coordinator: tuple[str, int], group: str) -> bool:
    try:
        described = _ask(coordinator, _DESCRIBE_GROUPS, _int32(1) + _text(group))
    except struct.error:
        return _exists(coordinator, group)
    _count, error, _name, state = described.int32(), described.int16(), described.text(), described.text()
    _type, _protocol, members = described.text(), described.text(), described.int32()
    return not error and state == "Stable" and members > 0


def _exists(coordinator: tuple[str, int], group: str) -> bool:
    """For the in-memory broker, which hangs up on whoever asks for a group: it does tell a stranger's
    heartbeat whether the stranger or the whole group is unknown to it."""
    stranger = _text(group) + _int32(-1) + _text("nobody")
    return _ask(coordinator, _HEARTBEAT, stranger).int16() != _GROUP_ID_NOT_FOUND


# Kafka's protocol: https://kafka.apache.org/protocol


class _Answer:
    """Reads values one after the other; raises `struct.error` where the answer is too short."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def int16(self) -> int:
        return self._next(">h")

    def int32(self) -> int:
        return self._next(">i")

    def text(self) -> str:
        length = self.int16()
        self._at += length
        return self._content[self._at - length : self._at].decode()

    def _next(self, layout: str) -> int:
        (value,) = struct.unpack_from(layout, self._content, self._at)
        self._at += struct.calcsize(layout)
        return int(value)


def _ask(server: tuple[str, int], request: int, body: bytes) -> _Answer:
    """Send a request of version 0 and return its answer."""
    message = struct.pack(">hhi", request, 0, 0) + _text("pixeltally") + body
    with socket.create_connection(server, TIMEOUT_S) as connection, connection.makefile("rb") as reader:
        connection.sendall(_int32(len(message)) + message)
        answer = _Answer(reader.read(_Answer(reader.read(4)).int32()))
        answer.int32()  # says which request this answers
        return answer


def _first(servers: str) -> tuple[str, int]:
    host, port = servers.split(",", maxsplit=1)[0].rsplit(":", 1)
    return host.strip("[]"), int(port)


def _int32(value: int) -> bytes:
    return struct.pack(">i", value)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()
