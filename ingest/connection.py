"""One client's connection: requests in, answers out, in order. llhttp (by httptools) reads, we answer.

A connection has `PATIENCE_S` from one whole request to the next, however it spends it: idle, sending a header byte by
byte, or not reading its answers. So nobody holds a place for long, and nobody is waited for.
"""

import asyncio
import logging
import re
from collections import OrderedDict
from http import HTTPStatus
from typing import Any, Protocol

import httptools

log = logging.getLogger("ingest")

#: How long a connection may take for its next whole request, seconds.
PATIENCE_S = 20.0

#: At most so many connections a worker: beyond it the one that has been without a whole request longest is closed.
MAX_CONNECTIONS = 8000

#: A request's head, and the whole of it with its body, may be so long.
MAX_HEAD_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 128 * 1024

#: The parser is fed so much at a time, so that an endless head is noticed.
_SLICE_BYTES = 16 * 1024

#: Answers that a client has not read yet: beyond it no more is read from it.
_UNREAD_BYTES = 64 * 1024

_NAMES_KEPT = 1000
_REQUEST_LINE = re.compile(rb"^([A-Z]{3,10}) +(/[^\r\n]*?)(?: HTTP/\d\.\d)?\r?$", re.MULTILINE)
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


class Site(Protocol):
    """What answers. An answer may be sent once `settle` has been called."""

    def answer(self, environ: dict[str, Any], body: bytes, last: bool) -> bytes:
        """A request's answer; `last`: the connection ends with it."""

    def refuse(self, environ: dict[str, Any], status: HTTPStatus, reason: str) -> bytes:
        """The answer to what is no whole request, and the connection's last."""

    def settle(self) -> None:
        """Write down what was answered."""


class Connections:
    """A worker's open connections, the one that has been without a whole request longest first."""

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self.site = site
        self._loop = loop
        self._open: OrderedDict[Connection, float] = OrderedDict()
        self._due: list[Connection] = []

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "Connection") -> None:
        """Take a new one in, in another's place where all are taken."""
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).abort()
        self._open[connection] = self._loop.time()

    def forget(self, connection: "Connection") -> None:
        """It is closed."""
        self._open.pop(connection, None)

    def send_soon(self, connection: "Connection") -> None:
        """Send its answers after the spool has them: one write for all that came at the same moment."""
        if not self._due:
            self._loop.call_soon(self.send)
        self._due.append(connection)

    def send(self) -> None:
        """Settle, then send what is due."""
        self.site.settle()
        due, self._due = self._due, []
        now = self._loop.time()
        for connection in due:
            connection.send()
            if connection in self._open:
                self._open[connection] = now
                self._open.move_to_end(connection)

    def close_overdue(self) -> None:
        """Close those whose patience is at an end."""
        before = self._loop.time() - PATIENCE_S
        for connection in [each for each, since in self._open.items() if since < before]:
            connection.abort()

    def close_all(self) -> None:
        """Close each as soon as it has its answers."""
        self.send()
        for connection in list(self._open):
            connection.close()


class Connection(asyncio.Protocol):
    """A client's connection. Methods named `on_…` are the parser's."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._site = connections.site
        self._parser = httptools.HttpRequestParser(self)
        self._answers: list[bytes] = []
        self._target = b""
        self._last = False  # nothing that follows is answered
        self._ended = False  # the client has said all
        self._begin()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._peer = transport.get_extra_info("peername")[0]
        self._connections.admit(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.forget(self)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if len(data) > _SLICE_BYTES:
            for start in range(0, len(data), _SLICE_BYTES):
                self._read(data[start : start + _SLICE_BYTES])
        else:
            self._read(data)
        if self._answers:
            self._connections.send_soon(self)

    def eof_received(self) -> bool:
        """The client has said all; what it asked is still answered."""
        self._last = self._ended = True
        if not self._answers:
            self._transport.close()
        return True

    def send(self) -> None:
        """Send the answers. The last one done, what still comes is read and dropped: a close would void the answer."""
        if self._answers and not self._transport.is_closing():
            self._transport.write(b"".join(self._answers))
            if self._ended:
                self._transport.close()
            elif self._last:
                self._transport.write_eof()
        self._answers.clear()

    def close(self) -> None:
        self._last = True
        self._transport.close()

    def abort(self) -> None:
        self._connections.forget(self)
        self._transport.abort()

    def _read(self, data: bytes) -> None:
        if self._last:
            return
        if not data.isascii() and not self._environ and not self._whole_head:
            data = _escape_line(data)
        before = len(self._answers)
        self._pending_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last = True  # nothing else is spoken here; the request itself has been answered
        except httptools.HttpParserError as error:
            self._refuse(data, len(self._answers) - before, error)
        else:
            if self._pending_bytes > MAX_HEAD_BYTES:
                self._limit()

    def _limit(self) -> None:
        if not self._whole_head:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request-too-long")
        elif self._pending_bytes > MAX_REQUEST_BYTES:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-too-long")

    def _refuse(self, data: bytes, answered: int, error: Exception) -> None:
        if self._last:
            return
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("a request could not be answered", exc_info=error.__context__)
        if not self._target:
            # The target itself is what can't be read: it is in the request line that follows those answered.
            lines = _REQUEST_LINE.findall(data)
            method, target = lines[min(answered, len(lines) - 1)] if lines else (b"", b"")
            self._begin()
            self._environ["REQUEST_METHOD"] = method.decode()
            self._target = target
        self._stop(HTTPStatus.BAD_REQUEST, "bad-request")

    def _stop(self, status: HTTPStatus, reason: str) -> None:
        self._last = True
        self._environ["RAW_URI"] = self._target.decode("latin-1")
        self._environ["REMOTE_ADDR"] = self._peer
        if "REQUEST_METHOD" not in self._environ:
            self._environ["REQUEST_METHOD"] = self._parser.get_method().decode()
        self._answers.append(self._site.refuse(self._environ, status, reason))

    def _begin(self) -> None:
        self._environ: dict[str, Any] = {}
        self._target = b""
        self._body = b""
        self._pending_bytes = 0  # of this request
        self._whole_head = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._whole_head:
            return  # a trailer has no say
        environ, key, text = self._environ, _keys.get(name) or _key(name), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text

    def on_headers_complete(self) -> None:
        self._whole_head = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._last:
            return
        parser, environ = self._parser, self._environ
        environ["REQUEST_METHOD"] = parser.get_method().decode()
        environ["RAW_URI"] = self._target.decode("latin-1")
        environ["REMOTE_ADDR"] = self._peer
        # HTTP/1.0 with keep-alive is answered, then closed, as the standard allows.
        last = not parser.should_keep_alive() or parser.get_http_version() != "1.1" or parser.should_upgrade()
        self._answers.append(self._site.answer(environ, self._body, last))
        self._last = last
        self._begin()


_keys: dict[bytes, str] = {}


def _key(name: bytes) -> str:
    """A header's name in WSGI's spelling. One with `_` is put aside, or it would pass for the one with `-`."""
    key = name.decode("latin-1").upper().replace("-", "_")
    if b"_" in name:
        key = "underscored"
    elif key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if len(_keys) < _NAMES_KEPT:
        _keys[name] = key
    return key


def _escape_line(data: bytes) -> bytes:
    """Raw bytes beyond ASCII in a request's first line, which llhttp refuses and careless clients send."""
    line, newline, rest = data.partition(b"\n")
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], line) + newline + rest
