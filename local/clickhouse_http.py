"""ClickHouse's HTTP interface as a WSGI application in front of the embedded engine."""

import json
import logging
import secrets
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BytesIO
from itertools import chain
from typing import IO, Any

import cramjam
from waitress.channel import ClientDisconnected
from werkzeug.wrappers import Request, Response

from local.clickhouse_engine import CHUNK_BYTES, Engine, Output, insert, summary
from local.clickhouse_room import Room
from local.clickhouse_sql import HELLO, EngineError, error_code, hello, http_status, split_insert

log = logging.getLogger("clickhouse")

#: What the URL may hold beside `param_…` and settings of the engine.
_NOT_SETTINGS = {
    "query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check",
    "close_session", "user", "password", "quota_key", "stacktrace", "compress", "decompress", "buffer_size",
    "wait_end_of_query", "client_protocol_version", "enable_http_compression",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip
_CODECS = {
    "lz4": cramjam.lz4,
    "zstd": cramjam.zstd,
    "gzip": cramjam.gzip,
    "br": cramjam.brotli,
    "deflate": cramjam.zlib,
}
#: By the beginning of the format's name.
_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "JSON": "application/json; charset=UTF-8",
}


class Interface:
    """The WSGI application; counts the requests that it is answering."""

    def __init__(self, engine: Engine, room: Room) -> None:
        self._engine = engine
        self._room = room
        self._running = 0
        self._changed = threading.Condition()
        self._closed = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._changed:
            closed = self._closed
            self._running += not closed
        if closed:
            return Response("Code: 236. DB::Exception: Shutting down. (ABORTED)\n", 503)(environ, start_response)
        response = self._respond(Request(environ))
        response.call_on_close(self._end)
        return response(environ, start_response)

    def drain(self, timeout_s: float) -> bool:
        """Take no new requests and wait for the running ones; false if some still run."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _respond(self, request: Request) -> Response:
        if request.path in ("/ping", "/replicas_status") or (request.path == "/" and _is_bare(request)):
            return Response("Ok.\n")
        if request.path != "/":
            return Response(f"There is no handle {request.path}\n", 404, mimetype="text/plain")
        stack = ExitStack()
        try:
            response = self._answer(request, stack)
        except Exception as error:
            stack.close()
            return self._failure(error)
        if response.is_streamed:
            response.call_on_close(stack.close)
        else:
            # Before the answer leaves, so that the client's next request finds its session free.
            stack.close()
        return response

    def _answer(self, request: Request, stack: ExitStack) -> Response:
        values = _values(request)
        _authenticate(request, values)
        body = _body(request)
        head = values.get("query", "").encode()
        head = (head + b"\n" if head else b"") + body.read(CHUNK_BYTES)
        inserted = split_insert(head)
        text = "" if inserted else (head + body.read()).decode(errors="replace")
        statement = None if inserted else self._engine.statement(text)
        settings = {name: value for name, value in values.items() if name not in _NOT_SETTINGS}
        if "insert_deduplication_token" in settings:
            settings.setdefault("deduplicate_insert", "enable")
        if request.method == "GET":
            settings.setdefault("readonly", "2")
        handle = stack.enter_context(
            self._engine.handle(
                statement,
                values.get("database") or request.headers.get("X-ClickHouse-Database", ""),
                settings,
                values.get("session_id", ""),
                min(int(values.get("session_timeout", 60)), 3600),
            )
        )
        headers = {
            "X-ClickHouse-Query-Id": values.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Server-Display-Name": socket.gethostname(),
            "X-ClickHouse-Timezone": values.get("session_timezone") or "UTC",
        }
        if inserted:
            data = chain([head[inserted.offset :]], iter(lambda: body.read(CHUNK_BYTES), b""))
            with self._room.written():
                return _finished(b"", headers, insert(handle, inserted, data))
        assert statement
        default = values.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
        if statement.has_result:
            headers["X-ClickHouse-Format"] = statement.format or default
        if not statement.selects:
            with self._room.of(statement):
                result = handle.query(text, default)
            return _finished(result.bytes(), headers, summary(result))
        format = statement.format or default
        if statement.text == HELLO and format == "Native":
            revision = int(values.get("client_protocol_version", 0))
            return _finished(hello(socket.gethostname(), self._engine.version, revision), headers, {})
        output = Output(self._engine, handle, statement, format)
        return self._output(request, output, headers)

    def _output(self, request: Request, output: Output, headers: dict[str, str]) -> Response:
        """Whole where it is small, so that an error has its status; else as it comes."""
        codec = request.accept_encodings.best_match(_CODECS) or ""
        chunks = output.chunks(request.environ.get("waitress.client_disconnected", lambda: False))
        first = bytearray()
        for chunk in chunks:
            first += chunk
            if len(first) >= CHUNK_BYTES:
                break
        else:
            return _finished(bytes(first), headers, output.summary, codec)
        tag = headers["X-ClickHouse-Exception-Tag"] = secrets.token_hex(8)
        response = Response(_encoded(self._guarded(bytes(first), chunks, tag), codec), headers=headers)
        return _typed(response, codec)

    def _guarded(self, first: bytes, chunks: Iterator[bytes], tag: str) -> Iterator[bytes]:
        """The chunks; an error among them in the form that clients look for, then a broken connection."""
        yield first
        try:
            yield from chunks
        except Exception as error:
            text = self._message(error).encode()
            yield b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
                tag.encode(), text, len(text), tag.encode()
            )  # fmt: skip
            raise ClientDisconnected from error

    def _message(self, error: Exception) -> str:
        """The error as a server words it."""
        text = str(error)
        if error_code(text) == 1002:
            log.error("request failed", exc_info=error)
            text = f"Code: 1002. DB::Exception: {text}. (UNKNOWN_EXCEPTION)"
        text = text[text.index("Code: ") :].rstrip()
        return f"{text.removesuffix(f' (version {self._engine.version})')} (version {self._engine.version})\n"

    def _failure(self, error: Exception) -> Response:
        text = self._message(error)
        code = error_code(text)
        return Response(text, http_status(code), {"X-ClickHouse-Exception-Code": str(code)}, mimetype="text/plain")


def _is_bare(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and not request.query_string


def _values(request: Request) -> dict[str, str]:
    """Query string and the fields of a multipart form (not of any other: curl calls every body a form)."""
    values = request.args.to_dict()
    if request.mimetype == "multipart/form-data":
        if request.files:
            raise EngineError("Code: 48. DB::Exception: External tables are not served. (NOT_IMPLEMENTED)")
        values |= request.form.to_dict()
    if values.get("compress", "0") != "0" or values.get("decompress", "0") != "0":
        raise EngineError("Code: 48. DB::Exception: Use HTTP compression, not compress=1. (NOT_IMPLEMENTED)")
    return values


def _authenticate(request: Request, values: dict[str, str]) -> None:
    """There is one user. Another's name must not be answered with its rights."""
    basic = request.authorization
    user = values.get("user") or request.headers.get("X-ClickHouse-User") or (basic and basic.username)
    if user not in (None, "", "default"):
        raise EngineError(f"Code: 516. DB::Exception: {user}: Authentication failed. (AUTHENTICATION_FAILED)")


def _body(request: Request) -> IO[bytes]:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding == "identity":
        return request.stream
    if encoding not in _CODECS:
        raise EngineError(f"Code: 89. DB::Exception: Unknown HTTP encoding {encoding!r}. (UNKNOWN_COMPRESSION_METHOD)")
    try:
        return BytesIO(_CODECS[encoding].decompress(request.get_data()))
    except cramjam.DecompressionError as error:
        raise EngineError(f"Code: 271. DB::Exception: Bad {encoding}: {error}. (CANNOT_DECOMPRESS)") from None


def _finished(body: bytes, headers: dict[str, str], summary: dict[str, str], codec: str = "") -> Response:
    headers["X-ClickHouse-Summary"] = json.dumps(summary)
    return _typed(Response(b"".join(_encoded(iter([body]), codec)), headers=headers), codec)


def _typed(response: Response, codec: str) -> Response:
    format = response.headers.get("X-ClickHouse-Format", "")
    kind = next((kind for start, kind in _CONTENT_TYPES.items() if format.startswith(start)), None)
    response.headers["Content-Type"] = kind or "application/octet-stream"
    if codec:
        response.headers["Content-Encoding"] = codec
    return response


def _encoded(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """The chunks, compressed one by one so that the client gets each as it comes."""
    if not codec:
        yield from chunks
        return
    compressor = _CODECS[codec].Compressor()
    for chunk in chunks:
        compressor.compress(chunk)
        yield bytes(compressor.flush())
    yield bytes(compressor.finish())
