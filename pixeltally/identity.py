"""Ids that the same input always gets again: a hit's UUIDv7 and a visitor's number."""

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, inet_ntop

Address = IPv4Address | IPv6Address

#: Bits kept of a truncated address, by IP version.
TRUNCATED_BITS = {4: 24, 6: 48}

#: A hex digit with its upper two bits set to RFC 9562's variant.
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def hit_id(ts_ms: int, node: str, seq: int) -> str:
    """The UUIDv7 (RFC 9562) of the hit at place `seq` of `node`'s spool, answered at `ts_ms`.

    Its 74 free bits are a hash of the place instead of random, so that shipping a line twice, or importing a
    file twice, gives the same id.
    """
    place = _node(node).copy()
    place.update(b"%d" % seq)
    free = place.hexdigest()
    return f"{_time(ts_ms)}{free[1:4]}-{_VARIANTS[free[4]]}{free[5:8]}-{free[8:]}"


@lru_cache(maxsize=1024)
def _node(node: str) -> blake2b:
    """What the hashes of a node's places begin with."""
    return blake2b(b"%b:" % node.encode(), digest_size=10)


@lru_cache(maxsize=1024)
def _time(ts_ms: int) -> str:
    """What the ids of a moment begin with."""
    time = f"{ts_ms & 0xFFFFFFFFFFFF:012x}"
    return f"{time[:8]}-{time[8:]}-7"


def subscriber_name(subscriber: str) -> str:
    """What a subscriber's number is made of; no address reads like it."""
    return f"s:{subscriber}"


def address_text(address: Address) -> str:
    """The address as `str` writes it, in a third of the time."""
    return inet_ntop(AF_INET, address.packed) if address.version == 4 else str(address)


def address_name(address: Address, ipv6_prefix_bits: int, user_agent: str | None) -> str:
    """What the number of a visitor without a subscriber is made of; the agent is None where it tells nobody apart."""
    who = address_text(masked(address, ipv6_prefix_bits))
    return who if user_agent is None else f"{who} {user_agent}"


def masked(address: Address, ipv6_prefix_bits: int) -> Address:
    """The address that tells visitors apart: an IPv6 address keeps only its prefix."""
    if address.version == 4 or ipv6_prefix_bits == 128:
        return address
    return ip_network((address, ipv6_prefix_bits), strict=False).network_address


def truncated(address: Address) -> Address:
    """The network that is kept of an address with PIXELTALLY_STORE_IP=truncated."""
    return ip_network((address, TRUNCATED_BITS[address.version]), strict=False).network_address


def visitor_number(key: bytes, visitor: str) -> int:
    """A visitor (:func:`subscriber_name` or :func:`address_name`) as an unsigned 64-bit number.

    The hash is keyed: without `key` (at most 64 bytes) nobody can find an address by trying all of them.
    """
    number = _keyed(key).copy()
    number.update(visitor.encode())
    return int.from_bytes(number.digest()) or 1  # 0 is nobody


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> blake2b:
    """What the hashes of all visitors begin with."""
    return blake2b(digest_size=8, key=key)


def visitor_key(secret: bytes) -> bytes:
    """The key of :func:`visitor_number`, derived from the installation's secret of any length."""
    return blake2b(secret, digest_size=32, person=b"visitor").digest()
