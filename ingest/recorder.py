"""Writes a request into the worker's spool before it is answered."""

import logging
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from ingest import request
from ingest.answered import Answered
from ingest.spool import Full, Spool
from pixeltally import metrics
from pixeltally.identity import hit_id
from pixeltally.outage import Outage

log = logging.getLogger("ingest")

#: Longest text kept of any one header or of the URI, in characters.
MAX_CHARS = 16 * 1024

#: Of a header that says yes or no.
MAX_FLAG_CHARS = 8

#: First parts of the paths whose requests are recorded.
ROUTES = ("p", "i", "c", "v")

_LOSS_LOG_EVERY_S = 1.0


class Recorder:
    """The one way from a WSGI request to the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._answered = Answered(spool.folder)
        self._waiting: Counter[int] = Counter()  # requests whose lines wait for room, by minute
        self._outage = Outage(log, "room in the spool", "what is answered waits in memory")
        self._next_log = 0.0
        self._held: list[bytes] = []
        self._held_of: Counter[str] = Counter()
        self._held_in: Counter[int] = Counter()  # minutes
        self._counted = {route: metrics.REQUESTS.labels(route) for route in ROUTES}

    def turn(self) -> None:
        """Write what waits for room, if there is some by now; to be called about once a second."""
        self._spool.turn()
        if self._waiting and not self._spool.waiting_bytes:
            self._note(Counter())
        metrics.WAITING.set(self._waiting.total())
        self._outage.note(self.problem())

    def problem(self) -> str:
        """What waits for room, and why; empty where nothing does."""
        if not self._waiting:
            return ""
        return f"{self._waiting.total()} requests ({self._spool.waiting_bytes >> 10} KiB) wait: {self._spool.problem}"

    def lose_waiting(self) -> None:
        """The process ends: what still waits for room is lost, counted and logged."""
        if self._waiting:
            self._lose(self._spool.problem, self._waiting.total())

    def record(
        self, route: str, environ: dict[str, Any], refused: str = "", postback: dict[str, str] | None = None
    ) -> str:
        """Append the request and return its hit's id; a full spool loses it (then the id is empty), counted and logged.

        `postback` holds the fields of a conversion that a server reported; they stand in the line as its query.
        """
        ts = time.time_ns() // 1_000_000
        seq = self._append(_line(ts, environ, refused, postback), Counter([_minute(ts)]))
        if seq is None:
            return ""
        self._counted[route].inc()
        return hit_id(ts, self._spool.node, seq)

    def hold(self, route: str, environ: dict[str, Any], refused: str = "") -> None:
        """Have the request appended by the next `flush`: its answer must wait for that."""
        ts = time.time_ns() // 1_000_000
        self._held.append(_line(ts, environ, refused))
        self._held_of[route] += 1
        self._held_in[_minute(ts)] += 1

    def flush(self) -> None:
        """Append what is held, in one write; a full spool loses it, counted and logged."""
        if not self._held:
            return
        if self._append(b"\n".join(self._held), self._held_in) is not None:
            for route, count in self._held_of.items():
                self._counted[route].inc(count)
        self._held.clear()
        self._held_of.clear()
        self._held_in.clear()

    def _append(self, lines: bytes, minutes: Counter[int]) -> int | None:
        """Append, and count in what is thereby answered; the first line's `seq`, None where they are lost.

        What waits for room counts as lost until it is written: so that holds, if the process is killed before.
        """
        try:
            seq = self._spool.append(lines)
        except Full as error:
            self._answered.note_lost(self._spool.segment, minutes)
            self._lose(str(error), minutes.total())
            return None
        if self._spool.waiting_bytes:
            self._answered.note_lost(self._spool.segment, minutes)
            self._waiting += minutes
            return seq
        self._note(minutes)
        return seq

    def _note(self, minutes: Counter[int]) -> None:
        """All lines are written: count these requests as answered, and those that waited no longer as lost."""
        self._answered.note(self._spool.segment, self._spool.end, minutes, self._waiting)
        self._waiting.clear()

    def _lose(self, problem: str, count: int) -> None:
        metrics.LOST.inc(count)
        if time.monotonic() > self._next_log:
            log.error("%d requests were answered but could not be spooled, so they are lost: %s", count, problem)
            self._next_log = time.monotonic() + _LOSS_LOG_EVERY_S


def _minute(ts_ms: int) -> int:
    return ts_ms // 60_000 * 60


def _line(ts: int, environ: dict[str, Any], refused: str, postback: dict[str, str] | None = None) -> bytes:
    uri = environ["RAW_URI"] if postback is None else f"{environ['PATH_INFO']}?{urlencode(postback)}"
    return request.encode(
        request.Request(
            time=ts / 1000,
            uri=uri[:MAX_CHARS],
            peer=environ.get("REMOTE_ADDR", ""),
            forwarded_for=_header(environ, "HTTP_X_FORWARDED_FOR"),
            forwarded=_header(environ, "HTTP_FORWARDED"),
            user_agent=_header(environ, "HTTP_USER_AGENT"),
            referer=_header(environ, "HTTP_REFERER"),
            gpc=environ.get("HTTP_SEC_GPC", "")[:MAX_FLAG_CHARS],
            dnt=environ.get("HTTP_DNT", "")[:MAX_FLAG_CHARS],
            purpose=_purpose(environ),
            postback=postback is not None,
            refused=refused,
        )
    )


def _header(environ: dict[str, Any], name: str) -> str:
    value = environ.get(name)
    return text(value)[:MAX_CHARS] if value else ""


def _purpose(environ: dict[str, Any]) -> str:
    said = environ.get("HTTP_SEC_PURPOSE", "") + environ.get("HTTP_PURPOSE", "") + environ.get("HTTP_X_MOZ", "")
    return text(said)[: request.MAX_PURPOSE_CHARS] if said else ""


def text(value: str) -> str:
    """A header as text: WSGI (PEP 3333) hands bytes over as Latin-1, senders mean UTF-8."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "replace")
