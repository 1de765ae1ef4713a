"""The sender against a real HTTP server: what it says was answered is what the server counted."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.sender import Sender
from local.traffic import Request
from local.visitors import Visitor

GIF = b"GIF89a" + bytes(37)
Answer = Callable[[BaseHTTPRequestHandler], None]


def image(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(GIF)))
    handler.end_headers()
    handler.wfile.write(GIF)


class Counting(ThreadingHTTPServer):
    """Answers each path as told (`image` where nothing is) and keeps what it got."""

    daemon_threads = True

    def __init__(self, answers: dict[str, Answer], port: int = 0) -> None:
        self.answers = answers
        self.got: Counter[str] = Counter()
        self.connections: set[tuple[str, int]] = set()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.server_port)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Counting

    def do_GET(self) -> None:
        self.server.got[self.path] += 1
        self.server.connections.add(self.client_address)
        self.server.answers.get(self.path, image)(self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answers: dict[str, Answer] | None = None, port: int = 0) -> Iterator[Counting]:
    with Counting(answers or {}, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


VISITOR = Visitor("93.184.215.14", "Agent/1.0")


def wire(request: Request) -> bytes:
    return f"GET /{request.n} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


def requests(count: int, gap_s: float = 0.0, clicks: tuple[int, ...] = ()) -> Iterator[Request]:
    for n in range(count):
        yield Request(n, n * gap_s, "click" if n in clicks else "impression", "a/b/c", VISITOR)


def test_every_request_arrives_once_over_kept_connections() -> None:
    answered: list[int] = []
    with serving() as server:
        sender = Sender(server.address, wire, connections=4, answered=lambda request: answered.append(request.n))
        sender.run(requests(500), threading.Event())
    assert server.got == Counter({f"/{n}": 1 for n in range(500)})
    assert len(server.connections) == 4
    assert sorted(answered) == list(range(500))
    assert (sender.tally.answered, sender.tally.sent, sender.tally.taken) == (500, 500, 500)
    assert not sender.tally.unknown
    assert not sender.tally.unsent


def test_requests_wait_until_they_are_due() -> None:
    with serving() as server:
        start = time.monotonic()
        Sender(server.address, wire).run(requests(6, gap_s=0.05), threading.Event())
        assert 0.25 <= time.monotonic() - start < 2
    assert server.got.total() == 6


def test_a_click_is_answered_by_a_redirect_that_is_not_followed() -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving({"/1": redirect}) as server:
        sender = Sender(server.address, wire)
        sender.run(requests(4, clicks=(1, 2)), threading.Event())
    assert sender.tally.answered == 3
    assert sender.tally.refused == {200: 1}
    assert "/elsewhere" not in server.got


def test_unexpected_status_is_no_success() -> None:
    def unavailable(handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(503)

    with serving({"/3": unavailable}) as server:
        sender = Sender(server.address, wire, connections=2)
        sender.run(requests(10), threading.Event())
    assert sender.tally.answered == 9
    assert sender.tally.refused == {503: 1}
    assert sender.tally.sent == server.got.total() == 10


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\nGIF89a")
    drop(handler)


def surplus(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nGIF89a")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nGIF89a")


@pytest.mark.parametrize("broken", [drop, cut, surplus, endless])
def test_a_broken_answer_is_unknown_and_never_tried_again(broken: Answer) -> None:
    with serving({"/3": broken}) as server:
        sender = Sender(server.address, wire, connections=2)
        sender.run(requests(10), threading.Event())
    assert sender.tally.unknown == [3]
    assert sender.tally.answered == 9
    assert server.got == Counter({f"/{n}": 1 for n in range(10)})


def test_connection_closed_after_an_answer_is_opened_again() -> None:
    def last(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        image(handler)

    def announced(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving({"/3": last, "/5": announced}) as server:
        sender = Sender(server.address, wire, connections=1)
        sender.run(requests(10, gap_s=0.3), threading.Event())
    assert sender.tally.answered == 10
    assert server.got == Counter({f"/{n}": 1 for n in range(10)})
    assert len(server.connections) == 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_refused_connections_are_tried_again_until_the_server_is_there() -> None:
    port = free_port()
    sender = Sender(("127.0.0.1", port), wire, connections=4)
    thread = threading.Thread(target=sender.run, args=(requests(50), threading.Event()))
    thread.start()
    time.sleep(0.3)
    assert sender.tally.sent == 0
    with serving(port=port) as server:
        thread.join(10)
    assert server.got == Counter({f"/{n}": 1 for n in range(50)})
    assert sender.tally.answered == 50


def test_stopping_leaves_the_rest_unsent() -> None:
    stop = threading.Event()
    sender = Sender(("127.0.0.1", free_port()), wire, connections=4)
    thread = threading.Thread(target=sender.run, args=(requests(50), stop))
    thread.start()
    time.sleep(0.05)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert sender.tally.sent == 0
    assert sender.tally.unsent == [0, 1, 2, 3]
