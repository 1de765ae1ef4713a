"""Lines of the combined log format, as nginx and Apache write it, and its kin.

    address - user [10/Oct/2000:13:55:36 -0700] "GET /path HTTP/1.1" 200 2326 "referer" "agent"

The common log format ends after the size; nginx's `main` has the client that a proxy reported as one more quoted field;
Apache's `vhost_combined` begins with the host. What else follows is passed over.
"""

import re
from functools import lru_cache

from ingest.address import parse as address
from ingest.logged import Logged, Unreadable, asked, clf_time, logged
from ingest.recorder import MAX_CHARS
from ingest.request import Request

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_LINE = re.compile(
    rf"(?P<who>.*?) \[(?P<time>[^\]]+)\] {_QUOTED} (?P<status>\d\d\d) (?:\d+|-)"
    rf"(?: {_QUOTED} {_QUOTED}(?: {_QUOTED})?)?(?: .*)?",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "v": "\v", "f": "\f"}


def parse(line: str) -> Logged:
    """A line, without its newline; raises :class:`Unreadable`."""
    if "\\" in line or len(line) > MAX_CHARS:
        return _any(line)
    try:
        # What nearly all lines look like, in a third of the time.
        head, line_asked, numbers, referer, gap, agent, end = line.split('"')
        peer, _, _, day, zone, space = head.split(" ")
        method, target, protocol = line_asked.split(" ")
        before, status, _, after = numbers.split(" ")
    except ValueError:
        return _any(line)
    if before + after + space + end != "" or gap != " " or target[:1] != "/" or protocol[:5] != "HTTP/":
        return _any(line)
    found = Request(
        _moment(day, zone),
        target,
        peer,
        user_agent="" if agent == "-" else agent,
        referer="" if referer == "-" else referer,
        method=method,
    )
    return Logged(found, _status(status))


@lru_cache(maxsize=4096)
def _moment(day: str, zone: str) -> int:
    """The time that stands there as `[day:time` and `zone]`."""
    if day[:1] != "[" or zone[-1:] != "]":
        raise Unreadable("no line of the combined log format")
    return clf_time(f"{day[1:]} {zone[:-1]}")


@lru_cache(maxsize=1024)
def _status(text: str) -> int:
    if re.fullmatch("[0-9]{3}", text) is None:
        raise Unreadable("no status of three digits")
    return int(text)


def _any(line: str) -> Logged:
    """A line in whatever form the format has."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise Unreadable("no line of the combined log format")
    who, stamp, line_asked, status, *texts = found.groups()
    method, target = asked(_text(line_asked))
    referer, agent, forwarded_for = (_said(_text(text or "")) for text in texts)
    request = Request(
        clf_time(stamp),
        target,
        _peer(who),
        forwarded_for=forwarded_for,
        user_agent=agent,
        referer=referer,
        method=method,
    )
    return logged(request, _status(status))


def _said(text: str) -> str:
    return "" if text == "-" else text


def _peer(who: str) -> str:
    """The client's address: first, or behind the host that was asked (`vhost_combined`), by name or address."""
    first, second, *others = [*who.split(" "), ""]
    has_host = address(first) is None or len(others) > 2
    return second if has_host and address(second) is not None else first


def _text(text: str) -> str:
    r"""What was logged, of what stands in the log: `\x22` (nginx, Apache), `\"`, `\\`, `\t` (Apache)."""
    if "\\" not in text:
        return text
    # Bytes beyond ASCII may stand there as they are, or one by one.
    raw = _ESCAPE.sub(_unescaped, text.encode().decode("latin-1"))
    return raw.encode("latin-1").decode("utf-8", "replace")


def _unescaped(escape: re.Match[str]) -> str:
    code, char = escape.groups()
    return chr(int(code, 16)) if code else _CONTROLS.get(char, char)
