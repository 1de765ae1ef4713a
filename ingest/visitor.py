"""Who asked: the number that tells visitors apart, and what may be kept of them.

The number is always made of the whole subscriber or address, so what is kept changes no count. Its key is the
installation's first: see docs/privacy.md.
"""

from collections.abc import Callable
from functools import lru_cache

import msgspec

from ingest.address import Addresses, parse
from ingest.request import Request
from pixeltally.hit import NOBODY
from pixeltally.identity import (
    Address,
    address_name,
    address_text,
    subscriber_name,
    truncated,
    visitor_key,
    visitor_number,
)
from pixeltally.settings import Settings

#: Clients whose numbers are remembered: some 20 MB.
CLIENTS = 65_536


class Unknown(Exception):
    """It can't be said who asked; the text is the reason's name in docs/dead-letters.md."""


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """Who asked, as it is kept."""

    number: int
    subscriber: str = ""
    ip: str = ""
    user_agent: str = ""
    referer: str = ""


ANONYMOUS = Visitor(NOBODY)


def wants_anonymity(request: Request) -> bool:
    """Whether the browser asks not to be known, or may have: Global Privacy Control or Do Not Track."""
    return request.gpc.strip() == "1" or request.dnt.strip() == "1" or request.gpc_left_out


def visitors(settings: Settings) -> Callable[[Request, str, str], Visitor]:
    """A function that says who asked, given (request, subscriber, what stands in for a person).

    The last is of a server that reports a conversion: it has neither the person's address nor their browser.
    """
    key = visitor_key(settings.secret_key())
    anonymity = settings.gpc == "anonymous"
    keeps_subscriber = settings.store_ip != "none"
    by_agent = settings.visitor == "ip+ua"
    client = lru_cache(maxsize=CLIENTS)(_clients(settings, key))
    believes_proxies = bool(settings.trusted_proxies)

    def visitor(request: Request, subscriber: str, stand_in: str) -> Visitor:
        if anonymity and wants_anonymity(request):
            if request.gpc_left_out:
                raise Unknown("gpc-left-out")
            return ANONYMOUS
        kept = subscriber if keeps_subscriber else ""
        if request.visitor is not None:
            ip = stored(parse(request.peer), settings.store_ip)
            return Visitor(request.visitor, kept, ip, request.user_agent, request.referer)
        if request.postback:
            return Visitor(visitor_number(key, subscriber_name(subscriber) if subscriber else stand_in), kept)
        if believes_proxies:
            number, address, ip = client(request.peer, request.forwarded, request.forwarded_for)
        else:
            number, address, ip = client(request.peer)
        if subscriber:
            number = visitor_number(key, subscriber_name(subscriber))
        elif address is None:
            raise Unknown("no-address")
        elif by_agent:
            number = visitor_number(key, address_name(address, settings.ipv6_prefix, request.user_agent))
        return Visitor(number, kept, ip, request.user_agent, request.referer)

    return visitor


def _clients(settings: Settings, key: bytes) -> Callable[..., tuple[int, Address | None, str]]:
    """A function that gives a client's visitor number, their address and what is kept of it."""
    addresses, prefix, how = Addresses(settings.trusted_proxies), settings.ipv6_prefix, settings.store_ip

    def client(peer: str, forwarded: str = "", forwarded_for: str = "") -> tuple[int, Address | None, str]:
        address = addresses.client(peer, forwarded, forwarded_for)
        if address is None:
            return NOBODY, None, ""
        return visitor_number(key, address_name(address, prefix, None)), address, stored(address, how)

    return client


def stored(address: Address | None, how: str) -> str:
    """What is kept of an address: all, its network, or nothing."""
    if address is None or how == "none":
        return ""
    if how == "truncated":
        return address_text(truncated(address))
    return address_text(address)
