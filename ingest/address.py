"""The client's address: the peer's, unless the peer is a trusted proxy."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton

from pixeltally.identity import Address
from pixeltally.settings import Network

#: One `name=value` of Forwarded, or nothing, and what ends it.
_PAIR = re.compile(r'\s*(?:([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,"]*))?\s*([;,]|\Z)')


class Addresses:
    """Finds the client of a request, given the networks whose word is taken for it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def client(self, peer: str, forwarded: str, forwarded_for: str) -> Address | None:
        """The right-most untrusted address (X-Forwarded-For, else Forwarded, else the peer).

        A header counts only where the peer is trusted; what is no address (`unknown`, an obfuscated name)
        ends the search at the proxy that reported it. Nearly all proxies write X-Forwarded-For, and hand on a
        Forwarded that the client may have made up: so that counts only alone. None where even the peer has no IP
        address.
        """
        client = parse(peer)
        if client is None or not self._trusted or not self._is_trusted(client):
            return client
        for entry in reversed(forwarded_for.split(",") if forwarded_for else _reported(forwarded)):
            address = parse(entry)
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def _reported(forwarded: str) -> list[str]:
    """Whom each element of Forwarded (RFC 7239) is `for`, empty where it doesn't say.

    None at all of one that isn't well-formed: who opens a quote would hide what proxies write behind it.
    """
    hops: list[str] = []
    pairs: dict[str, str] = {}
    end, at = ",", 0
    while end:
        found = _PAIR.match(forwarded, at)
        if found is None:
            return []
        name, value, end = found.groups()
        at = found.end()
        if name:
            pairs[name.lower()] = value.strip().strip('"')
        if end != ";" and pairs:
            hops.append(pairs.get("for", ""))
            pairs = {}
    return hops


def parse(text: str) -> Address | None:
    """An address as proxies write it: with or without port, brackets and zone; IPv4-mapped IPv6 is IPv4."""
    try:
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return _parse(text.strip())


def _parse(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
