"""Judges a line of a server's log: a hit of an ad unit, a view of a page that is counted as one, or neither. No I/O."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple
from urllib.parse import unquote

from ingest import combined, json_log
from ingest.log_lines import LogLines
from ingest.logged import Logged
from ingest.reading import UNIT, Uncountable, place, reader
from ingest.request import Request
from ingest.visitor import Unknown, visitors
from pixeltally.errors import Refused
from pixeltally.hit import NOBODY, Hit
from pixeltally.identity import hit_id
from pixeltally.reasons import REASONS
from pixeltally.settings import Settings, variable

#: How far ahead of this machine's clock a log may be.
AHEAD_S = 86_400
_DAY_S = 86_400

_METHODS = frozenset({"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})

#: What some editors put before a text in UTF-8.
BOM = b"\xef\xbb\xbf"

Unit = tuple[str, ...]


class Page(NamedTuple):
    """Pages that are counted as an ad unit."""

    pattern: re.Pattern[str]
    unit: Unit
    node: str  #: what the node's name has more: a line may be a view of several units, import by import


class Left(NamedTuple):
    """A line that is no hit."""

    kind: Literal["bad", "old", "other"]
    why: str


Judge = Callable[[str, str, int], Hit | Left]


def page(text: str) -> Page:
    """`GLOB=ADVERTISER/CAMPAIGN/CREATIVE[/PLACEMENT]`, or a refusal."""
    glob, _, name = text.rpartition("=")
    unit = UNIT.fullmatch(name)
    if not glob.startswith(("/", "*", "?", "[")) or unit is None:
        raise Refused(f"--map {text} is not GLOB=ADVERTISER/CAMPAIGN/CREATIVE, such as '/blog/*=acme/site/blog'.")
    mark = blake2b(name.encode(), digest_size=4).hexdigest()
    return Page(re.compile(translate(glob)), unit.groups(""), f"-{mark}")


def parser(form: str, lines: LogLines) -> Callable[[str], Logged]:
    """What reads lines of this format, or where none is named, lines like the first that isn't empty."""
    texts = (lines.line(index).removeprefix(BOM).lstrip() for index in range(len(lines)))
    form = form or ("json" if next(filter(None, texts), b"").startswith(b"{") else "combined")
    return json_log.parse if form == "json" else combined.parse


def bounds_s(settings: Settings, now_s: float) -> tuple[float, float]:
    """The earliest and the latest time of what is counted, in epoch seconds."""
    return now_s - settings.retention_days * _DAY_S if settings.retention_days else 0, now_s + AHEAD_S


def judgement(settings: Settings, pages: Sequence[Page], now_s: float) -> Callable[[Logged, str, int], Hit | Left]:
    """A function that reads (a logged request, node, seq) as a hit."""
    read, view = reader(settings), _views(settings)
    oldest_s, newest_s = bounds_s(settings, now_s)
    if settings.retention_days:
        old = Left("old", f"older than {variable('retention_days')}={settings.retention_days}")
    else:
        old = Left("bad", "its time is before 1970")

    @lru_cache(maxsize=8192)
    def page_of(path: str) -> Page | None:
        try:
            place(path)
        except Uncountable:
            path = unquote(path)
            return next((page for page in pages if page.pattern.fullmatch(path)), None)
        return None

    def counted(request: Request, status: int | None, node: str, seq: int) -> Hit | Left:
        page = page_of(request.uri.partition("?")[0])
        if page is None:
            return read(request, node, seq)
        if status is not None and 300 <= status != 304:
            return _other(f"status {status} of a page")
        return view(request, page, node, seq)

    def judge(logged: Logged, node: str, seq: int) -> Hit | Left:
        request, status = logged.request, logged.status
        if request.method != "GET":
            return _other(f"method {request.method}" if request.method in _METHODS else "unknown method")
        if status is not None and not 200 <= status < 400:
            return _other(f"status {status}")
        if not oldest_s <= request.time <= newest_s:
            return old if request.time < oldest_s else Left("bad", "its time is yet to come")
        try:
            return counted(request, status, node, seq) if pages else read(request, node, seq)
        except Uncountable as reason:
            if str(reason) == "unknown-path":
                return _other("path of no ad unit")
            return Left("bad", f"{reason}: {REASONS[str(reason)]}")

    return judge


@lru_cache(maxsize=1024)
def _other(why: str) -> Left:
    return Left("other", why)


def _views(settings: Settings) -> Callable[[Request, Page, str, int], Hit]:
    visitor = visitors(settings)

    def view(request: Request, page: Page, node: str, seq: int) -> Hit:
        try:
            who = visitor(request, "", "")
        except Unknown as reason:
            raise Uncountable(str(reason)) from None
        ts, node, unit = request.ts, node + page.node, page.unit
        path = {} if who.number == NOBODY else {"path": request.uri.partition("?")[0]}
        return Hit(
            hit_id(ts, node, seq),
            ts,
            "view",
            unit[0],
            unit[1],
            who.number,
            node,
            seq,
            creative=unit[2],
            placement=unit[3],
            ip=who.ip,
            user_agent=who.user_agent,
            referer=who.referer,
            purpose=request.purpose,
            params=path,
        )

    return view
