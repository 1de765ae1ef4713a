"""Writes a request into the worker's spool before it is answered."""

import logging
import time
from typing import Any
from urllib.parse import quote, urlencode

from ingest import request
from ingest.spool import Spool
from pixeltally import metrics
from pixeltally.identity import hit_id

log = logging.getLogger("ingest")

#: Longest text kept of any one header or of the URI, in characters.
MAX_CHARS = 16 * 1024

#: Of a header that says yes or no.
MAX_FLAG_CHARS = 8

_LOSS_LOG_EVERY_S = 1.0


class Recorder:
    """The one way from a WSGI request to the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._next_log = 0.0
        self._counted = {route: metrics.REQUESTS.labels(route) for route in ("p", "i", "c", "v")}

    def record(
        self, route: str, environ: dict[str, Any], refused: str = "", postback: dict[str, str] | None = None
    ) -> str:
        """Append the request and return its hit's id; a full disk loses it (then the id is empty), counted and logged.

        `postback` holds the fields of a conversion that a server reported; they stand in the line as its query.
        """
        ts = time.time_ns() // 1_000_000
        line = request.encode(
            request.Request(
                time=ts / 1000,
                uri=uri(environ) if postback is None else f"{environ['PATH_INFO']}?{urlencode(postback)}",
                peer=environ.get("REMOTE_ADDR", ""),
                forwarded_for=_header(environ, "HTTP_X_FORWARDED_FOR"),
                forwarded=_header(environ, "HTTP_FORWARDED"),
                user_agent=_header(environ, "HTTP_USER_AGENT"),
                referer=_header(environ, "HTTP_REFERER"),
                gpc=environ.get("HTTP_SEC_GPC", "")[:MAX_FLAG_CHARS],
                dnt=environ.get("HTTP_DNT", "")[:MAX_FLAG_CHARS],
                postback=postback is not None,
                refused=refused,
            )
        )
        try:
            seq = self._spool.append(line)
        except OSError as error:
            self._lose(error)
            return ""
        self._counted[route].inc()
        return hit_id(ts, self._spool.node, seq)

    def _lose(self, error: OSError) -> None:
        metrics.LOST.inc()
        if time.monotonic() > self._next_log:
            log.error("a request was answered but could not be spooled, so it is lost: %s", error)
            self._next_log = time.monotonic() + _LOSS_LOG_EVERY_S


def uri(environ: dict[str, Any]) -> str:
    """The request's path, percent-encoded, and its query as sent."""
    path = environ["PATH_INFO"]
    if not path.isascii() or "%" in path or "?" in path:
        path = quote(path.encode("latin-1"))
    query = environ.get("QUERY_STRING", "")
    return (f"{path}?{text(query)}" if query else path)[:MAX_CHARS]


def _header(environ: dict[str, Any], name: str) -> str:
    return text(environ.get(name, ""))[:MAX_CHARS]


def text(value: str) -> str:
    """A header as text: WSGI (PEP 3333) hands bytes over as Latin-1, senders mean UTF-8."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")
