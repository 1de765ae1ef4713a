"""Asks ClickHouse what the panels need: one thread for all viewers, only while someone is looking.

A page never waits on ClickHouse: it gets the newest :class:`Snapshot` of its range, and the thread refreshes
the ranges that were asked for lately. So the load doesn't grow with viewers, and a ClickHouse that is away or
slow leaves the page answering.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect

from dashboards.macros import expand
from dashboards.panel import Panel
from dashboards.panels import NEWEST, PANELS
from pixeltally.database import DATABASE

log = logging.getLogger("live")

Rows = list[tuple[Any, ...]]
#: Runs one SQL statement, returns its rows; raises :class:`Unavailable`.
Ask = Callable[[str], Rows]

#: Seconds that a query may take before ClickHouse gives it up.
QUERY_TIMEOUT_S = 5
#: Seconds between two rounds of queries.
REFRESH_S = 1.0
#: After a round the thread rests for so many times what it took: large ranges refresh less often instead of
#: taking all of ClickHouse. All panels are read in one round, so that they never contradict one another.
REST = 2
#: Seconds that a range stays watched after someone asked for it; more than a hidden tab's slowed timer.
WATCH_S = 10.0
#: The newest minutes of a series, which later facts may still change; the rest is read once a minute.
UNSETTLED_S = 5 * 60
SERIES_REREAD_S = 60.0

MINUTE_S = 60


class Unavailable(Exception):
    """ClickHouse can't answer now; its text is one sentence for whoever looks at the page."""


@dataclass(frozen=True)
class Snapshot:
    """What a page shows of one range. Times are epoch milliseconds, by this machine's clock."""

    start: int
    end: int  #: end of the open minute
    asked: int  #: when ClickHouse last answered; 0 if it never did
    ever: bool  #: has anything been counted at all, also outside the range?
    rows: dict[str, Rows] = field(default_factory=dict)  #: by panel id; moments as epoch milliseconds
    error: str = ""


def connect(url: str) -> Ask:
    """How to ask the ClickHouse at `url`. It connects on first use and again after every failure."""
    server = urlsplit(url)
    away = f"ClickHouse at {server.hostname}:{server.port or 8123} doesn't answer."
    client: Any = None
    trouble = ""

    def ask(sql: str) -> Rows:
        nonlocal client, trouble
        try:
            client = client or clickhouse_connect.get_client(
                dsn=url,
                database=DATABASE,
                connect_timeout=2,
                send_receive_timeout=QUERY_TIMEOUT_S + 1,
                query_retries=0,
                autogenerate_session_id=False,
                settings={"max_execution_time": QUERY_TIMEOUT_S},
            )
            rows = client.query(sql).result_rows
        except Exception as error:  # whatever the client raises, the page says it and tries again
            client = None
            sentence = _sentence(str(error), away)
            if sentence != trouble:
                log.warning("%s (%r)", sentence, error)
            trouble = sentence
            raise Unavailable(sentence) from None
        trouble = ""
        return [tuple(map(_plain, row)) for row in rows]

    return ask


def _sentence(error: str, away: str) -> str:
    if "UNKNOWN_DATABASE" in error or "UNKNOWN_TABLE" in error:
        return "ClickHouse has no Pixeltally tables yet; `pixeltally sink` makes them when it starts."
    if "TIMEOUT_EXCEEDED" in error:
        return f"ClickHouse needs more than {QUERY_TIMEOUT_S} s for this range; choose a shorter one."
    if "Code:" in error or "code:" in error:
        return "ClickHouse refuses the page's queries; its log says why."
    return away


def _plain(value: Any) -> Any:
    """A moment as epoch milliseconds (ClickHouse's are UTC); all else as it is."""
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    return value


@dataclass
class _Reading:
    """A panel's answer over one range."""

    rows: Rows = field(default_factory=list)
    end_s: int = 0  #: of the range that was read last
    whole_due: float = 0.0  #: when all of it is to be read again, monotonic seconds


class Range:
    """The panels over the last `span_s` seconds and the minute that is open."""

    def __init__(self, span_s: int) -> None:
        self.span_s = span_s
        self.watched_until = 0.0
        self.snapshot: Snapshot | None = None
        self._readings = {panel.id: _Reading() for panel in PANELS}

    def refresh(self, ask: Ask, now_s: float) -> None:
        """Bring `snapshot` up to `now_s`; when ClickHouse can't answer, keep its numbers and say so."""
        end_s = int(now_s) // MINUTE_S * MINUTE_S + MINUTE_S
        start_s = end_s - MINUTE_S - self.span_s
        before = self.snapshot or Snapshot(start_s * 1000, end_s * 1000, 0, ever=True)
        try:
            for panel in PANELS:
                self._read(panel, ask, start_s, end_s)
            rows = {id: reading.rows for id, reading in self._readings.items()}
            ever = rows[NEWEST.id][0][0] is not None or bool(ask("SELECT 1 FROM impressions LIMIT 1"))
            self.snapshot = Snapshot(start_s * 1000, end_s * 1000, round(now_s * 1000), ever, rows)
        except Unavailable as error:
            self.snapshot = replace(before, error=str(error))

    def _read(self, panel: Panel, ask: Ask, start_s: int, end_s: int) -> None:
        reading = self._readings[panel.id]
        began = time.monotonic()
        grows = panel.picture == "series" or panel is NEWEST
        whole = not grows or began >= reading.whole_due
        from_s = start_s if whole else max(start_s, reading.end_s - UNSETTLED_S)
        newer = ask(expand(panel.sql, from_s, end_s).strip())
        if panel is NEWEST:
            reading.rows = newer if newer[0][0] is not None else reading.rows or newer
        elif whole:
            reading.rows = newer
        else:
            settled = [row for row in reading.rows if start_s * 1000 <= row[0] < from_s * 1000]
            reading.rows = settled + newer
        reading.end_s = end_s
        if whole:
            reading.whole_due = began + SERIES_REREAD_S


class Feed:
    """Keeps a :class:`Snapshot` of every watched range. Use it as a context manager."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._clock = clock
        self._ranges: dict[int, Range] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(QUERY_TIMEOUT_S)

    def snapshot(self, span_s: int, patience_s: float = 1.0) -> Snapshot | None:
        """The newest snapshot of the last `span_s` seconds, watched from now; None if none is in time."""
        with self._changed:
            watched = self._ranges.setdefault(span_s, Range(span_s))
            watched.watched_until = time.monotonic() + WATCH_S
            self._changed.notify_all()
            self._changed.wait_for(lambda: watched.snapshot or self._stopped, patience_s)
            return watched.snapshot

    def _run(self) -> None:
        took = 0.0
        while True:
            with self._changed:
                # A range that is new to the watch doesn't wait for the others' next turn.
                rest = max(REFRESH_S, REST * took)
                self._changed.wait_for(lambda: self._stopped or self._unanswered(), rest)
                self._changed.wait_for(lambda: self._stopped or self._ranges)
                if self._stopped:
                    return
                self._forget_unwatched()
                ranges = list(self._ranges.values())
            began = time.monotonic()
            for each in ranges:
                each.refresh(self._ask, self._clock())
                with self._changed:
                    self._changed.notify_all()
            took = time.monotonic() - began

    def _unanswered(self) -> bool:
        return any(each.snapshot is None for each in self._ranges.values())

    def _forget_unwatched(self) -> None:
        now = time.monotonic()
        self._ranges = {span_s: each for span_s, each in self._ranges.items() if each.watched_until > now}
