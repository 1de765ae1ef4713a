"""What a worker answers: pixels here, the rest by Flask."""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ingest import wsgi
from ingest.answers import GIF, PNG, UNCACHED
from ingest.recorder import ROUTES, Recorder

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Length of `/p/` with all percent-encoded that can be. Too short for an encoded character after it.
_ENCODED_ROUTE = len("/%70%2f")

_ROUTES = frozenset(f"/{route}/" for route in ROUTES)

_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)

#: A browser asks so before it lets a page's script send headers of its own.
_PREFLIGHT = [
    ("Allow", "GET, HEAD"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
]


class Site:
    """Answers requests, given in WSGI's terms with the target as sent in `RAW_URI`."""

    def __init__(self, recorder: Recorder, flask: "WSGIApplication") -> None:
        self._recorder = recorder
        self._flask = flask
        self.turn()

    def turn(self) -> None:
        """Make the answers that are always the same; once a second, for their date."""
        self.date = formatdate(usegmt=True)
        self._pixels = {
            (extension, method, last): self._pixel(image, f"image/{extension}", method == "GET", last)
            for extension, image in (("gif", GIF), ("png", PNG))
            for method in ("GET", "HEAD")
            for last in (False, True)
        }

    def _pixel(self, image: bytes, kind: str, with_body: bool, last: bool) -> bytes:
        headers = [("Content-Type", kind), ("Content-Length", str(len(image))), *UNCACHED]
        return wsgi.head("200 OK", headers, self.date, last) + (image if with_body else b"")

    def answer(self, environ: dict[str, Any], body: bytes, last: bool) -> bytes:
        """A request's answer. A pixel's request is recorded by the next `settle`, all others are by now."""
        uri = environ["RAW_URI"]
        if not uri.startswith("/p/"):
            uri = environ["RAW_URI"] = normal(uri)
            if not uri.startswith("/p/"):
                return wsgi.call(self._flask, environ, body, self.date, last)
        method = environ["REQUEST_METHOD"]
        if method == "GET":
            self._recorder.hold("p", environ)
        elif method != "HEAD":
            status = HTTPStatus.NO_CONTENT if method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED
            return self._plain(status, last, _PREFLIGHT)
        return self._pixels[_extension(uri), method, last]

    def refuse(self, environ: dict[str, Any], status: HTTPStatus, reason: str) -> bytes:
        """The last answer of a connection: what came is no whole request. A pixel's is answered all the same."""
        uri = environ["RAW_URI"] = normal(environ["RAW_URI"])
        route, method = uri[:3], environ["REQUEST_METHOD"]
        if method == "GET" and route in _ROUTES:
            self._recorder.hold(route[1], environ, reason)
        if method in ("GET", "HEAD") and route == "/p/":
            return self._pixels[_extension(uri), method, True]
        return self._plain(status, last=True)

    def settle(self) -> None:
        """Write down what was answered."""
        self._recorder.flush()

    def _plain(self, status: HTTPStatus, last: bool, headers: wsgi.Headers = ()) -> bytes:
        length = [] if status == HTTPStatus.NO_CONTENT else [("Content-Length", "0")]
        return wsgi.head(f"{status.value} {status.phrase}", [*headers, *length], self.date, last)


def normal(target: str) -> str:
    """A target as a path of ours: without scheme and host, without doubled slashes before it, the route in plain."""
    target = _ABSOLUTE.sub("", target, count=1) if target[:4].lower() == "http" else target
    path, mark, query = target.partition("?")
    path = "/" + path.lstrip("/")
    route = unquote(path[:_ENCODED_ROUTE])
    if route.startswith("/p/"):
        path = route + path[_ENCODED_ROUTE:]
    return path + mark + query


def _extension(uri: str) -> str:
    return "png" if uri.partition("?")[0].endswith(".png") else "gif"
