"""Where an address is and whose: country, autonomous system, ISP, and the kind of network."""

from collections.abc import Sequence
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from pixeltally.fragment import fragment
from streams import networks, sign
from streams.mmdb import ASN, COUNTRY, ISP, Table
from streams.networks import LOCAL, Network, Networks

#: Where networks begin that are for special purposes, among those that are given to people (2000::/3).
_SOME_LOCAL = (b"\x20\x01", b"\x20\x02", b"\x3f\xff")


class Place(NamedTuple):
    """What is known of an address."""

    country: str  #: ISO 3166-1 alpha-2
    asn: int
    isp: str
    network: str  #: a key of `streams.networks.SIGNS`
    signs: int  #: see `streams.sign`
    json: bytes  #: what a fact says of it: `,"country":"DE","asn":3320,"isp":"…"`


class Places:
    """Looks addresses up; what can't be known stays empty."""

    def __init__(self, country_mmdb: str = "", asn_mmdb: str = "", internal: Sequence[Network] = ()) -> None:
        """Paths of MMDB files; empty: those of the default set. `internal`: the installation's own ranges."""
        self._countries = Table(country_mmdb, "user-country.mmdb")
        self._systems = Table(asn_mmdb, "origin-asn.mmdb")
        self._country = self._countries.path_of(COUNTRY)
        self._asn = self._systems.path_of(ASN)
        self._isp = self._systems.path_of(ISP)
        self._networks = Networks(internal)
        self._made: dict[tuple[object, int, str], Place] = {}

    def look_up(self, ips: Sequence[str]) -> list[Place]:
        """The place of each address; empty ones are nowhere, and so is what is no address, with a sign that says so."""
        found = self._find([*dict.fromkeys(ips)])
        return list(map(found.__getitem__, ips))

    def dates(self) -> dict[str, str]:
        """When each list was made, YYYY-MM-DD; empty where it can't be read."""
        return {"iporigin": networks.date(), "asn": self._systems.date, "country": self._countries.date}

    def _find(self, ips: list[str]) -> dict[str, Place]:
        found = {ip: _NONE if ip else NOWHERE for ip in ips}
        v4, v6 = _packed(ips)
        known = [*v4, *v6]
        asns = _numbers(self._systems.look_up(known, self._asn))
        kinds = self._networks.of_v4(v4.values(), asns[: len(v4)]) + self._networks.of_v6(v6.values(), asns[len(v4) :])
        kinds = [
            LOCAL if not kind and not asn and _is_local(packed) else kind
            for packed, kind, asn in zip([*v4.values(), *v6.values()], kinds, asns, strict=True)
        ]
        keys = list(zip(self._countries.look_up(known, self._country), asns, kinds, strict=True))
        try:
            found.update(zip(known, map(self._made.__getitem__, keys), strict=True))
        except KeyError:
            for ip, key in zip(known, keys, strict=True):
                found[ip] = self._made.get(key) or self._make(ip, key)
        return found

    def _make(self, ip: str, key: tuple[object, int, str]) -> Place:
        """The place, and that of all addresses with the same key: an autonomous system has one name."""
        country, asn, network = key
        (name,) = self._systems.look_up([ip], self._isp) if asn else (None,)
        known, isp = country if isinstance(country, str) else "", name if isinstance(name, str) else ""
        json = fragment(country=known, asn=asn, isp=isp)
        place = self._made[key] = Place(known, asn, isp, network, networks.SIGNS[network], json)
        return place


def _is_local(packed: bytes) -> bool:
    """Whether an address is nobody's on the Internet. Most of IPv6 that is anybody's is told by its first two bytes."""
    if len(packed) == 16 and packed[0] >> 5 == 1 and packed[:2] not in _SOME_LOCAL:
        return False
    return not ip_address(packed).is_global


def _packed(ips: Sequence[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The addresses among `ips` as bytes: of IPv4, and of IPv6."""
    v4, v6 = {}, {}
    for ip in ips:
        try:
            if ":" in ip:
                v6[ip] = inet_pton(AF_INET6, ip)
            else:
                v4[ip] = inet_pton(AF_INET, ip)
        except (OSError, ValueError):
            continue
    return v4, v6


def _numbers(asns: Sequence[object]) -> list[int]:
    """Numbers of autonomous systems, which some files write as `AS3320`."""
    return [asn if type(asn) is int else _number(asn) for asn in asns]


def _number(asn: object) -> int:
    digits = asn.removeprefix("AS") if isinstance(asn, str) else ""
    return int(digits) if digits.isdecimal() else 0


NOWHERE = Place("", 0, "", "", sign.NO_ADDRESS, b"")
_NONE = NOWHERE._replace(signs=sign.NO_ADDRESS | sign.BAD_ADDRESS)
