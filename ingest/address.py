"""The client's address: the peer's, unless the peer is a trusted proxy."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton

from pixeltally.identity import Address
from pixeltally.settings import Network

_FORWARDED_FOR = re.compile(r'(?:^|[;,])\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)', re.IGNORECASE)


class Addresses:
    """Finds the client of a request, given the networks whose word is taken for it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def client(self, peer: str, forwarded: str, forwarded_for: str) -> Address | None:
        """The right-most untrusted address (Forwarded, else X-Forwarded-For, else the peer).

        A header counts only where the peer is trusted; what is no address (`unknown`, an obfuscated name)
        ends the search at the proxy that reported it. None where even the peer has no IP address.
        """
        client = parse(peer)
        if client is None or not self._trusted or not self._is_trusted(client):
            return client
        for entry in reversed(_entries(forwarded, forwarded_for)):
            address = parse(entry)
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def _entries(forwarded: str, forwarded_for: str) -> list[str]:
    if forwarded:
        return [entry.strip('"') for entry in _FORWARDED_FOR.findall(forwarded)]
    return forwarded_for.split(",") if forwarded_for else []


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
