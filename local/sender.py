"""Sends HTTP requests as cheaply as Python can and still be honest: about 40 µs of CPU each.

Kept-alive connections, one request in flight on each: what is due is written to as many connections as it
takes, then the answers are read. Each answer's status and length are checked. A request is tried again only
where none of its bytes had left; one whose answer never came is unknown, since it may have been counted.
"""

import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Event

from local.traffic import Request

_ANSWER_TIMEOUT_S = 10.0
_RECONNECT_S = 0.1
_TICK_S = 0.005


@dataclass
class Tally:
    """What became of the requests so far."""

    answered: int = 0  #: with the expected status and length
    refused: dict[int, int] = field(default_factory=dict)  #: how many got another status
    unknown: list[int] = field(default_factory=list)  #: numbers of those whose answer never came
    taken: int = 0  #: requests from this number on were not tried
    unsent: list[int] = field(default_factory=list)  #: nor were these before it: no connection was to be had

    @property
    def sent(self) -> int:
        """All requests that left, whatever came back."""
        return self.answered + sum(self.refused.values()) + len(self.unknown)


class BadAnswer(Exception):
    """The answer is not one that leaves the connection usable."""


class _Connection:
    """One kept-alive connection; opened when first needed and again after it broke."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Make sure that the server can be written to; raise OSError where it can't, nothing being sent."""
        # Readable although nothing was asked: the server has closed it.
        if self._socket and select.select([self._socket], [], [], 0)[0]:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_ANSWER_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, wire: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(wire)

    def read(self) -> int:
        """The status of the answer, all of whose body has come."""
        assert self._socket is not None
        answer = b""
        while (end := _end(answer)) is None or len(answer) < end:
            received = self._socket.recv(65536)
            if not received:
                raise BadAnswer("closed within the answer")
            answer += received
        if len(answer) > end:
            raise BadAnswer("longer than its Content-Length")
        if b"\r\nconnection: close\r\n" in answer.lower() or answer.startswith(b"HTTP/1.0"):
            self.close()
        return int(answer[9:12])

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None


def _end(answer: bytes) -> int | None:
    """How many bytes the answer has, by its Content-Length; None while the head is incomplete."""
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = answer[: head_end + 2].lower()
    at = head.find(b"\r\ncontent-length:")
    if not head.startswith(b"http/1.") or at < 0:
        raise BadAnswer("no HTTP/1 answer with a Content-Length")
    return head_end + 4 + int(head[at + 17 : head.index(b"\r\n", at + 17)])


class Sender:
    """Sends requests when they are due and keeps the tally; one thread runs it, others may look."""

    def __init__(
        self,
        address: tuple[str, int],
        wire: Callable[[Request], bytes],
        connections: int = 32,
        answered: Callable[[Request], object] = lambda request: None,
    ) -> None:
        """`wire` writes a request as bytes; `answered` is called with each that got the expected answer."""
        self.tally = Tally()
        self._wire = wire
        self._connections = [_Connection(address) for _ in range(connections)]
        self._answered = answered

    def run(self, requests: Iterable[Request], stop: Event) -> None:
        """Send all, each as soon as it is due, or until `stop`; returns when every answer is in."""
        try:
            for batch in _due(requests, len(self._connections), stop):
                self._send(batch, stop)
        finally:
            for connection in self._connections:
                connection.close()

    def _send(self, batch: list[Request], stop: Event) -> None:
        while batch and not stop.is_set():
            flights, batch = self._write(batch)
            for connection, request in flights:
                self._read(connection, request)
            if batch:
                stop.wait(_RECONNECT_S)
        self.tally.unsent.extend(request.n for request in batch)

    def _write(self, batch: list[Request]) -> tuple[list[tuple[_Connection, Request]], list[Request]]:
        """Write what can be written; return it with its connections, and what no byte of has left."""
        flights, kept = [], []
        for connection, request in zip(self._connections, batch, strict=False):
            try:
                connection.open()
            except OSError:
                kept.append(request)
                continue
            self.tally.taken = max(self.tally.taken, request.n + 1)
            try:
                connection.write(self._wire(request))
                flights.append((connection, request))
            except OSError:
                self._lose(connection, request)
        return flights, kept

    def _read(self, connection: _Connection, request: Request) -> None:
        try:
            status = connection.read()
        except (OSError, BadAnswer, ValueError):
            self._lose(connection, request)
            return
        if status == (302 if request.kind == "click" else 200):
            self.tally.answered += 1
            self._answered(request)
        else:
            self.tally.refused[status] = self.tally.refused.get(status, 0) + 1

    def _lose(self, connection: _Connection, request: Request) -> None:
        connection.close()
        self.tally.unknown.append(request.n)


def _due(requests: Iterable[Request], most: int, stop: Event) -> Iterator[list[Request]]:
    """Batches of at most `most` requests that are due, waiting till there are any."""
    start = time.monotonic()
    batch: list[Request] = []
    for request in requests:
        if batch and (len(batch) == most or request.at_s > time.monotonic() - start):
            yield batch
            batch = []
        early_s = request.at_s - (time.monotonic() - start)
        # Never a shorter sleep than a tick: what falls due meanwhile then shares its cost.
        if (early_s > 0 and stop.wait(max(early_s, _TICK_S))) or stop.is_set():
            return
        batch.append(request)
    yield batch
