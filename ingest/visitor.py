"""Who asked: the number that tells visitors apart, and what may be kept of them.

The number is always made of the whole subscriber or address, so what is kept changes no count. Its key is the
installation's first: see docs/privacy.md.
"""

from collections.abc import Callable
from typing import NamedTuple

from ingest.address import Addresses
from ingest.request import Request
from pixeltally.hit import NOBODY
from pixeltally.identity import Address, address_name, subscriber_name, truncated, visitor_key, visitor_number
from pixeltally.settings import Settings


class Unknown(Exception):
    """Neither a subscriber nor an address says who asked."""


class Visitor(NamedTuple):
    """Who asked, as it is kept."""

    number: int
    subscriber: str = ""
    ip: str = ""
    user_agent: str = ""
    referer: str = ""


ANONYMOUS = Visitor(NOBODY)


def wants_anonymity(request: Request) -> bool:
    """Whether the browser asks not to be known: Global Privacy Control or Do Not Track."""
    return request.gpc.strip() == "1" or request.dnt.strip() == "1"


def visitors(settings: Settings) -> Callable[[Request, str, str], Visitor]:
    """A function that says who asked, given (request, subscriber, what stands in for a person).

    The last is of a server that reports a conversion: it has neither the person's address nor their browser.
    """
    addresses = Addresses(settings.trusted_proxies)
    key = visitor_key(settings.secret_key())
    by_agent = settings.visitor == "ip+ua"
    anonymity = settings.gpc == "anonymous"
    keeps_subscriber = settings.store_ip != "none"

    def visitor(request: Request, subscriber: str, stand_in: str) -> Visitor:
        if anonymity and wants_anonymity(request):
            return ANONYMOUS
        kept = subscriber if keeps_subscriber else ""
        if request.postback:
            return Visitor(visitor_number(key, subscriber_name(subscriber) if subscriber else stand_in), kept)
        address = addresses.client(request)
        if subscriber:
            who = subscriber_name(subscriber)
        elif address is None:
            raise Unknown
        else:
            who = address_name(address, settings.ipv6_prefix, request.user_agent if by_agent else None)
        ip = stored(address, settings.store_ip)
        return Visitor(visitor_number(key, who), kept, ip, request.user_agent, request.referer)

    return visitor


def stored(address: Address | None, how: str) -> str:
    """What is kept of an address: all, its network, or nothing."""
    if address is None or how == "none":
        return ""
    if how == "truncated":
        return str(truncated(address))
    return str(address)
