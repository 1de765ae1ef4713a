"""A line of a server's log, whatever its format: the request, and what the server made of it."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

import msgspec

from ingest.recorder import MAX_CHARS
from ingest.request import Request

_MONTHS = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}  # noqa: SIM905

#: No zone is further from UTC.
_FURTHEST = timedelta(hours=14)


class Unreadable(Exception):
    """What is no line of such a log; its text says what is wrong with it."""


class Logged(msgspec.Struct, gc=False):
    """A request as a log has it."""

    request: Request
    status: int | None  #: None where the log doesn't say


def logged(found: Request, status: int | None) -> Logged:
    """The request as a web worker would have written it down."""
    if not found.uri.startswith("/"):
        found.uri = _origin_form(found.uri)
    if len(found.uri) + len(found.forwarded_for) + len(found.user_agent) + len(found.referer) > MAX_CHARS:
        found.uri, found.forwarded_for = found.uri[:MAX_CHARS], found.forwarded_for[:MAX_CHARS]
        found.user_agent, found.referer = found.user_agent[:MAX_CHARS], found.referer[:MAX_CHARS]
    return Logged(found, status)


def asked(line: str) -> tuple[str, str]:
    """(method, target) of `GET /path HTTP/1.1`."""
    method, _, rest = line.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        raise Unreadable("no request such as GET /path HTTP/1.1")
    return method, target


def _origin_form(target: str) -> str:
    """Path and query of a target: proxies write `http://host/path?query` (RFC 9112, 3.2.2)."""
    scheme, _, rest = target.partition("://")
    if scheme.lower() in ("http", "https"):
        return f"/{rest.partition('/')[2]}"
    return target


def clf_time(stamp: str) -> int:
    """`10/Oct/2000:13:55:36 -0700` in epoch seconds."""
    clock = stamp[11:20]
    if len(stamp) != 26 or clock[0] + clock[3] + clock[6] != ":::" or stamp[20] != " ":
        raise Unreadable("no time such as 10/Oct/2000:13:55:36 -0700")
    hours, minutes, seconds = clock[1:3], clock[4:6], clock[7:9]
    if not (hours + minutes + seconds).isdecimal() or hours > "23" or minutes > "59" or seconds > "60":
        raise Unreadable("no time of a day")
    return _midnight(stamp[:11], stamp[21:]) + int(hours) * 3600 + int(minutes) * 60 + int(seconds)


@lru_cache(maxsize=4096)
def _midnight(day: str, zone: str) -> int:
    """The beginning of `10/Oct/2000` in the zone `-0700`, in epoch seconds."""
    if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", zone, re.ASCII) is None:
        raise Unreadable("there is no such time zone")
    away = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
    try:
        date = datetime(int(day[7:]), _MONTHS[day[3:6]], int(day[:2]), tzinfo=timezone(away))
    except (ValueError, KeyError):
        raise Unreadable("there is no such day") from None
    return int(date.timestamp())


def iso_time(text: str) -> float:
    """An ISO 8601 time with its zone, in epoch seconds."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable("no time such as 2026-10-24T13:55:36+02:00") from None
    away = found.utcoffset()
    if away is None:
        raise Unreadable("the time names no zone")
    if not -_FURTHEST <= away <= _FURTHEST:
        raise Unreadable("there is no such time zone")
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
