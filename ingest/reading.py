"""Reads a request as a hit: which ad unit, which visitor, what kind. No I/O."""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote

from ingest import order as rules
from ingest.order import Order
from ingest.query import fields
from ingest.request import MAX_PURPOSE_CHARS, Request
from ingest.visitor import Unknown, visitors
from pixeltally.hit import NAME_PATTERN, NOBODY, Hit, Kind
from pixeltally.identity import hit_id
from pixeltally.settings import Settings

UNIT = re.compile(rf"({NAME_PATTERN})/({NAME_PATTERN})/({NAME_PATTERN})(?:/({NAME_PATTERN}))?", re.ASCII)
CAMPAIGN = re.compile(rf"({NAME_PATTERN})/({NAME_PATTERN})()()", re.ASCII)

#: Query fields and their length, in characters, beyond which a request is not counted.
MAX_FIELDS = 50
MAX_QUERY_CHARS = 8192

_EVENTS: dict[str, Kind] = {"": "impression", "impression": "impression", "open": "open", "view": "view"}
_KINDS: dict[str, Kind] = {"c": "click", "v": "conversion"}
_OWN_FIELDS = {
    "p": frozenset({"s", "e", "cb"}),
    "i": frozenset({"s", "e", "cb"}),
    "c": frozenset({"s", "k", "cb"}),
    "v": frozenset({"s", "order", "value", "currency", "cb"}),
}

#: The images that each route answers.
EXTENSIONS = {
    "p": frozenset({"gif", "png"}),
    "i": frozenset({"gif", "png", "jpg", "webp", "svg"}),
    "v": frozenset({"gif"}),
}

_NO_ORDER = rules.NONE


class Uncountable(Exception):
    """A request that can't be counted; its text is the reason's name in docs/dead-letters.md."""


def reader(settings: Settings) -> Callable[[Request, str, int], Hit]:
    """A function that reads (request, node, seq) as a hit, or raises :class:`Uncountable`."""
    visitor = visitors(settings)

    def read(request: Request, node: str, seq: int) -> Hit:
        if request.refused:
            raise Uncountable(request.refused)
        path, _, text = request.uri.partition("?")
        route, unit = place(path, request.postback)
        query = _fields(text) if text else {}
        kind = _KINDS.get(route) or _event(query)
        order, stand_in = _NO_ORDER, ""
        if route == "v":
            order = _order(query)
            stand_in = f"click:{order.click_id}" if order.click_id else f"order:{order.order}"
        try:
            who = visitor(request, query.get("s", ""), stand_in)
        except Unknown as reason:
            raise Uncountable(str(reason)) from None
        ts = request.ts
        # By position what must be there: by name that would take five times as long.
        hit = Hit(
            hit_id(ts, node, seq),
            ts,
            kind,
            unit[0],
            unit[1],
            who.number,
            node,
            seq,
            creative=unit[2],
            placement=unit[3],
            subscriber=who.subscriber,
            ip=who.ip,
            user_agent=who.user_agent,
            referer=who.referer,
            purpose=request.purpose[:MAX_PURPOSE_CHARS],
            params=_params(route, query, who.number == NOBODY, order) if query else {},
        )
        if order is not _NO_ORDER:
            hit.order, hit.value, hit.currency, hit.click_id = order
        return hit

    return read


@lru_cache(maxsize=8192)
def place(path: str, postback: bool = False) -> tuple[str, tuple[str, ...]]:
    """(route, ad unit) of a request's path, or :class:`Uncountable`."""
    if "%" in path:
        path = unquote(path)
    route, _, name = path[1:].partition("/")
    if route not in _OWN_FIELDS:
        raise Uncountable("unknown-path")
    if route in EXTENSIONS and not postback:
        name, dot, extension = name.rpartition(".")
        if not dot or extension not in EXTENSIONS[route]:
            raise Uncountable("bad-name")
    unit = (CAMPAIGN if route == "v" else UNIT).fullmatch(name)
    if unit is None:
        raise Uncountable("bad-name")
    return route, unit.groups("")


def _fields(query: str) -> dict[str, str]:
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


def _order(query: dict[str, str]) -> Order:
    """What a conversion says; an empty field is one that was not said."""
    order, value, currency = (query.get(field, "") for field in ("order", "value", "currency"))
    try:
        return Order(
            rules.order(order),
            value and rules.value(value),
            currency and rules.currency(currency),
            _click(query.get("pt_click", "")),
        )
    except rules.Wrong as wrong:
        raise Uncountable(f"bad-{wrong.field}") from None


def _click(text: str) -> str:
    """The click's id; a page that could not fill it in has converted all the same."""
    try:
        return rules.click(text)
    except rules.Wrong:
        return ""


def _params(route: str, query: dict[str, str], anonymous: bool, order: Order) -> dict[str, str]:
    own = _OWN_FIELDS[route]
    if own.issuperset(query):
        return {}
    if anonymous:
        return {name: value for name, value in query.items() if name == "to"}
    return {
        name: value for name, value in query.items() if name not in own and not (name == "pt_click" and order.click_id)
    }
