"""Reads a line of the raw log by the rules of docs/methodology.md: what was asked for, by whom.

Shares no code with ingest. A line that is no countable request is None: it was answered, and is counted nowhere.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus
from uuid import UUID

Address = IPv4Address | IPv6Address

#: Whoever asked not to be known.
NOBODY = ""

_TEXTS = ("uri", "peer", "forwarded_for", "forwarded", "user_agent", "referer", "gpc", "dnt", "purpose", "refused")
_MOST_CHARS = 16 * 1024
_NAME = "[a-z0-9][a-z0-9._-]{0,63}"
_UNIT = re.compile(rf"({_NAME})/({_NAME})/({_NAME})(?:/({_NAME}))?", re.ASCII)
_CAMPAIGN = re.compile(rf"({_NAME})/({_NAME})", re.ASCII)
_ENDINGS = {"p": "gif png", "i": "gif png jpg webp svg", "v": "gif"}
_EVENTS = {"": "impression", "impression": "impression", "open": "open", "view": "view"}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class Asked(NamedTuple):
    """A countable request."""

    ts: int  #: epoch milliseconds
    kind: str
    advertiser: str
    campaign: str
    creative: str
    placement: str
    who: str  #: tells visitors apart; `NOBODY`
    ip: str  #: as it is kept
    user_agent: str
    purpose: str
    order: str = ""
    value: str = ""
    currency: str = ""
    click: str = ""  #: of a conversion the click that it names, of a click its own id


def reader(settings: Mapping[str, str]) -> Callable[[bytes], Asked | None]:
    """A function that reads lines, given the settings that the segment's entry names."""
    trusted = [ip_network(each.strip()) for each in settings["trusted_proxies"].split(",") if each.strip()]

    def read(line: bytes) -> Asked | None:
        said = _said(line)
        if said is None or said.get("method", "GET") != "GET" or said.get("refused"):
            return None
        path, _, text = said["uri"].partition("?")
        place = _place(path, said.get("postback", False))
        fields = _fields(text)
        if place is None or fields is None:
            return None
        route, unit = place
        kind = {"c": "click", "v": "conversion"}.get(route) or _EVENTS.get(fields.get("e", ""))
        sold = _sold(fields) if route == "v" else {}
        if kind is None or sold is None:
            return None
        stand_in = click = ""
        if route == "v":
            click = _click(fields.get("pt_click", ""))
            stand_in = f"click:{click}" if click else f"order:{sold['order']}"
        who = _who(said, fields.get("s", ""), stand_in, settings, trusted)
        if who is None:
            return None
        ts, purpose = round(said["time"] * 1000), said.get("purpose", "")[:64]
        return Asked(ts, kind, *unit, who[0], who[1], who[2], purpose, **sold, click=click)

    return read


def of_hit(hit: Mapping[str, Any], settings: Mapping[str, str]) -> Asked:
    """The same of a hit that has no line: imported, or put back."""
    if settings["store_ip"] != "full":
        who = str(hit["visitor"]) if hit["visitor"] else NOBODY
    elif not hit["visitor"]:
        who = NOBODY
    elif hit.get("subscriber"):
        who = f"s:{hit['subscriber']}"
    elif hit.get("ip"):
        who = _by_address(ip_address(hit["ip"]), hit.get("user_agent", ""), settings)
    else:
        who = f"click:{hit['click_id']}" if hit.get("click_id") else f"order:{hit.get('order', '')}"
    names = ("advertiser", "campaign", "creative", "placement")
    texts = ("ip", "user_agent", "purpose", "order", "value", "currency")
    unit, rest = ([hit.get(name, "") for name in each] for each in (names, texts))
    click = hit["id"] if hit["kind"] == "click" else hit.get("click_id", "")
    return Asked._make([hit["ts"], hit["kind"], *unit, who, *rest, click])


def click_id(ts_ms: int, node: str, seq: int) -> str:
    """By which id a click is known that stands at the place `seq` of a node's log."""
    free = int.from_bytes(blake2b(f"{node}:{seq}".encode(), digest_size=10).digest())
    return str(UUID(int=ts_ms << 80 | 7 << 76 | (free >> 64 & 0xFFF) << 64 | 2 << 62 | free & (1 << 62) - 1))


def _said(line: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(line.decode("utf-8", "replace"))
        if not isinstance(said, dict) or not isinstance(said["time"], int | float) or isinstance(said["time"], bool):
            return None
        if not all(isinstance(said[name], str) for name in ("uri", "peer")):
            return None
    except (ValueError, KeyError, RecursionError):
        return None
    for name in (*_TEXTS, "method"):
        if not isinstance(said.get(name, ""), str):
            return None
    if len(line) > _MOST_CHARS:
        said |= {name: said[name][:_MOST_CHARS] for name in _TEXTS if name in said}
    return said


def _place(path: str, is_postback: bool) -> tuple[str, tuple[str, str, str, str]] | None:
    """Route and ad unit."""
    route, _, name = unquote(path)[1:].partition("/")
    if route not in ("p", "i", "c", "v"):
        return None
    if route in _ENDINGS and not is_postback:
        name, dot, ending = name.rpartition(".")
        if not dot or ending not in _ENDINGS[route].split():
            return None
    found = (_CAMPAIGN if route == "v" else _UNIT).fullmatch(name)
    if found is None:
        return None
    parts = [part or "" for part in found.groups()]
    return route, (parts[0], parts[1], *(parts[2:] or ("", "")))


def _fields(text: str) -> dict[str, str] | None:
    if len(text) > 8192 or text.count("&") >= 50:
        return None
    fields: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        fields.setdefault(unquote_plus(name), unquote_plus(value))
    return fields


def _sold(fields: Mapping[str, str]) -> dict[str, str] | None:
    """What a conversion says; None where it says it wrong."""
    order, value, currency = (fields.get(name, "") for name in ("order", "value", "currency"))
    if len(order) > 256 or not order.isprintable() or not re.fullmatch(r"([A-Z]{3})?", currency):
        return None
    if not re.fullmatch(r"([0-9]{1,14}(\.[0-9]{1,4})?)?", value):
        return None
    return {"order": order, "value": f"{Decimal(value):f}" if value else "", "currency": currency}


def _click(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def _who(
    said: Mapping[str, Any], subscriber: str, stand_in: str, settings: Mapping[str, str], trusted: list[Any]
) -> tuple[str, str, str] | None:
    """Who asked, and what is kept of their address and agent; None where nothing says who."""
    agent = said.get("user_agent", "")
    if said.get("visitor") is not None:  # of a reduced line: the number stands for the person
        ip = _parsed(said["peer"])
        return (str(said["visitor"]), "" if ip is None else str(ip), agent) if said["visitor"] else (NOBODY, "", "")
    left_out = said.get("gpc_left_out", False)
    if settings["gpc"] == "anonymous" and (
        left_out or "1" in (said.get("gpc", "").strip(), said.get("dnt", "").strip())
    ):
        return None if left_out else (NOBODY, "", "")
    if said.get("postback"):
        return (f"s:{subscriber}" if subscriber else stand_in), "", ""
    address = _client(said, trusted)
    if subscriber:
        return f"s:{subscriber}", "" if address is None else str(address), agent
    if address is None:
        return None
    return _by_address(address, agent, settings), str(address), agent


def _by_address(address: Address, agent: str, settings: Mapping[str, str]) -> str:
    bits = int(settings["ipv6_prefix"])
    if address.version == 6 and bits < 128:
        address = ip_network((address, bits), strict=False).network_address
    return f"{address} {agent}" if settings["visitor"] == "ip+ua" else str(address)


def _client(said: Mapping[str, Any], trusted: list[Any]) -> Address | None:
    """The right-most address that is no trusted proxy's."""
    client = _parsed(said["peer"])
    forwarded_for = said.get("forwarded_for", "")
    hops = forwarded_for.split(",") if forwarded_for else _hops(said.get("forwarded", ""))
    while client is not None and hops and any(client in network for network in trusted):
        before = _parsed(hops.pop())
        if before is None:
            break
        client = before
    return client


def _hops(forwarded: str) -> list[str]:
    """Whom each element of the header names; nobody where one pair of any is not `name=value`."""
    texts = iter(_QUOTED.findall(forwarded))
    hops = []
    for element in _QUOTED.sub('""', forwarded).split(","):
        names = {}
        for pair in filter(str.strip, element.split(";")):
            name, is_pair, value = (part.strip() for part in pair.partition("="))
            if not (is_pair and re.fullmatch(r'[^\s"]+', name) and (value == '""' or '"' not in value)):
                return []
            names[name.lower()] = next(texts).strip('"') if value == '""' else value
        if names:
            hops.append(names.get("for", ""))
    return hops


def _parsed(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
