"""Asks a WSGI application (PEP 3333) about a request that is wholly in memory; its answer as bytes."""

import logging
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("ingest")

Headers = Sequence[tuple[str, str]]


def call(app: "WSGIApplication", environ: dict[str, Any], body: bytes, date: str, last: bool) -> bytes:
    """The application's answer. `environ` holds the headers, REQUEST_METHOD, REMOTE_ADDR and RAW_URI."""
    status, headers, content = "500 Internal Server Error", [("Content-Length", "0")], b""

    def start_response(
        given: str, fields: list[tuple[str, str]], _exc_info: object = None
    ) -> Callable[[bytes], object]:
        nonlocal status, headers
        status, headers = given, fields
        return lambda _data: None

    try:
        chunks = app(_completed(environ, body), start_response)
        try:
            content = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
    except Exception:
        # Of the query not a word: it names the subscriber.
        log.exception("%s %s could not be answered", environ["REQUEST_METHOD"], environ["RAW_URI"].partition("?")[0])
    if environ["REQUEST_METHOD"] == "HEAD":
        content = b""
    elif content and not any(name.lower() == "content-length" for name, _ in headers):
        headers = [*headers, ("Content-Length", str(len(content)))]
    return head(status, headers, date, last) + content


def head(status: str, headers: Headers, date: str, last: bool) -> bytes:
    """An answer's head."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Date: {date}"]
    if last:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _completed(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    path, _, query = environ["RAW_URI"].partition("?")
    environ.update(
        SCRIPT_NAME="",
        PATH_INFO=unquote(path, "latin-1"),
        QUERY_STRING=query,
        SERVER_NAME="localhost",
        SERVER_PORT="80",
        SERVER_PROTOCOL="HTTP/1.1",
        CONTENT_LENGTH=str(len(body)),
    )
    environ |= {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    return environ
