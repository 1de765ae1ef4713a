"""Reads a request as a hit: which ad unit, which visitor, what kind. No I/O."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from ingest.address import Addresses, masked
from ingest.query import fields
from ingest.request import Request
from pixeltally.hit import NAME_PATTERN, Hit, Kind
from pixeltally.identity import hit_id, visitor_key, visitor_number
from pixeltally.settings import Settings

UNIT = re.compile(rf"({NAME_PATTERN})/({NAME_PATTERN})/({NAME_PATTERN})(?:/({NAME_PATTERN}))?", re.ASCII)

#: Query fields and their length, in characters, beyond which a request is not counted.
MAX_FIELDS = 50
MAX_QUERY_CHARS = 8192

_EVENTS: dict[str, Kind] = {"": "impression", "impression": "impression", "open": "open", "view": "view"}
_OWN_FIELDS = {
    "p": frozenset({"s", "e", "cb"}),
    "c": frozenset({"s", "k", "cb"}),
}


class Uncountable(Exception):
    """A request that can't be counted; its text is the reason's name in docs/dead-letters.md."""


def reader(settings: Settings) -> Callable[[Request, str, int], Hit]:
    """A function that reads (request, node, seq) as a hit, or raises :class:`Uncountable`."""
    addresses = Addresses(settings.trusted_proxies)
    key = visitor_key(settings.secret_key())
    by_agent = settings.visitor == "ip+ua"

    def read(request: Request, node: str, seq: int) -> Hit:
        if request.refused:
            raise Uncountable(request.refused)
        route, unit, query = split(request.uri)
        kind: Kind = "click" if route == "c" else _event(query)
        address = addresses.client(request)
        subscriber = query.get("s", "")
        if subscriber:
            visitor = f"s:{subscriber}"
        elif address is None:
            raise Uncountable("no-address")
        else:
            visitor = str(masked(address, settings.ipv6_prefix))
            if by_agent:
                visitor = f"{visitor} {request.user_agent}"
        return Hit(
            id=hit_id(request.ts, node, seq),
            ts=request.ts,
            kind=kind,
            advertiser=unit[0],
            campaign=unit[1],
            creative=unit[2],
            placement=unit[3],
            subscriber=subscriber,
            visitor=visitor_number(key, visitor),
            ip=str(address) if address else "",
            user_agent=request.user_agent,
            referer=request.referer,
            params={name: value for name, value in query.items() if name not in _OWN_FIELDS[route]},
            node=node,
            seq=seq,
        )

    return read


def split(uri: str) -> tuple[str, tuple[str, str, str, str], dict[str, str]]:
    """(route, ad unit, query) of a request's URI, or :class:`Uncountable`."""
    path, _, query = uri.partition("?")
    if "%" in path:
        path = unquote(path)
    route, _, name = path[1:].partition("/")
    if route not in _OWN_FIELDS:
        raise Uncountable("unknown-path")
    if route == "p":
        name, dot, extension = name.rpartition(".")
        if not dot or extension not in ("gif", "png"):
            raise Uncountable("bad-name")
    unit = UNIT.fullmatch(name)
    if unit is None:
        raise Uncountable("bad-name")
    return route, unit.groups(""), _fields(query)  # type: ignore[return-value]  # four groups


def _fields(query: str) -> dict[str, str]:
    if not query:
        return {}
    if len(query) > MAX_QUERY_CHARS:
        raise Uncountable("query-too-long")
    try:
        return fields(query, MAX_FIELDS)
    except ValueError:
        raise Uncountable("too-many-fields") from None


def _event(query: dict[str, str]) -> Kind:
    try:
        return _EVENTS[query.get("e", "")]
    except KeyError:
        raise Uncountable("unknown-event") from None
