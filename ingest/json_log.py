"""Lines of JSON logs: nginx with `escape=json`, Caddy, Traefik, and others by how fields are commonly named."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec

from ingest.logged import Logged, Unreadable, asked, clf_time, iso_time, logged
from ingest.recorder import MAX_FLAG_CHARS
from ingest.request import MAX_PURPOSE_CHARS, Request

Names = Sequence[tuple[str, ...]]


def _names(*names: str) -> Names:
    return [tuple(name.split(">")) for name in names]


#: Where each part of a request stands, `>` into an object; the first that is there counts. docs/import.md lists them.
FIELDS = {
    "time": _names(
        "time_iso8601", "msec", "time_local", "ts", "StartUTC", "StartLocal", "timestamp", "@timestamp", "time"
    ),
    "peer": _names(
        "remote_addr", "request>client_ip", "request>remote_ip", "client_ip", "remote_ip", "ClientHost", "ClientAddr",
        "clientip", "client", "peer",
    ),
    "forwarded_for": _names(
        "http_x_forwarded_for", "request>headers>X-Forwarded-For", "request_X-Forwarded-For", "x_forwarded_for",
        "forwarded_for",
    ),
    "request": _names("request"),
    "method": _names("request_method", "request>method", "RequestMethod", "request_verb", "method"),
    "target": _names("request_uri", "request>uri", "RequestPath", "request_url", "uri", "url", "path"),
    "query": _names("args", "query_string", "query"),
    "status": _names("status", "DownstreamStatus", "elb_status_code", "status_code", "response"),
    "agent": _names(
        "http_user_agent", "request>headers>User-Agent", "request_User-Agent", "user_agent", "agent"
    ),
    "referer": _names("http_referer", "request>headers>Referer", "request_Referer", "referer", "referrer"),
    "gpc": _names("http_sec_gpc", "request>headers>Sec-Gpc", "request_Sec-Gpc", "gpc"),
    "dnt": _names("http_dnt", "request>headers>Dnt", "request_Dnt", "dnt"),
    "purpose": _names(
        "http_sec_purpose", "http_purpose", "http_x_moz", "request>headers>Sec-Purpose", "request>headers>Purpose",
        "request>headers>X-Moz", "request_Sec-Purpose", "request_Purpose", "request_X-Moz", "purpose",
    ),
}  # fmt: skip

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def parse(line: str) -> Logged:
    """A line, without its newline; raises :class:`Unreadable`."""
    try:
        said = _decode(line)
    except msgspec.DecodeError:
        try:
            # A log_format without escape=json escapes bytes as JSON doesn't.
            said = _decode(line.replace("\\x", "\\u00"))
        except msgspec.DecodeError:
            raise Unreadable("not a JSON object") from None
    method, target = _asked(said)
    found = Request(
        time=_time(_first(said, "time")),
        uri=target,
        peer=_text(said, "peer"),
        forwarded_for=_text(said, "forwarded_for"),
        user_agent=_text(said, "agent"),
        referer=_text(said, "referer"),
        gpc=_text(said, "gpc")[:MAX_FLAG_CHARS],
        dnt=_text(said, "dnt")[:MAX_FLAG_CHARS],
        purpose=_text(said, "purpose")[:MAX_PURPOSE_CHARS],
        method=method,
    )
    return logged(found, _status(said))


def _asked(said: dict[str, Any]) -> tuple[str, str]:
    """Method and target."""
    target, method = _text(said, "target"), _text(said, "method")
    if not target and (whole := _text(said, "request")):
        return asked(whole)
    if not target:
        raise Unreadable("it names no path")
    query = _text(said, "query")
    return method or "GET", f"{target}?{query}" if query and "?" not in target else target


def _status(said: dict[str, Any]) -> int | None:
    status = _first(said, "status")
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if status is not None and (type(status) is not int or not 0 <= status <= 999):
        raise Unreadable("its status is none")
    return status


def _time(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return clf_time(value) if value[2:3] == "/" else iso_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Unreadable("it has no time")
    # Seconds, or what would be a time of the far future if it were: milliseconds, microseconds, nanoseconds.
    for _ in range(3):
        if value > 1e11:
            value /= 1000
    return float(value)


def _text(said: dict[str, Any], part: str) -> str:
    value = _first(said, part)
    if isinstance(value, list):  # Caddy's headers
        value = ", ".join(map(str, value))
    return value if isinstance(value, str) else ""


def _first(said: dict[str, Any], part: str) -> Any:
    """The part's value; None where no field of its names holds anything."""
    for name in FIELDS[part]:
        value: Any = said
        for step in name:
            value = value.get(step) if isinstance(value, dict) else None
        if value not in (None, "", "-") and not isinstance(value, dict):
            return value
    return None
