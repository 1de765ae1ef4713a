"""Which addresses say by themselves who asks: hosting providers', crawlers', and relays that people sit behind.

Ranges are those that the package iporigin gathers from what providers publish (MRC: "known invalid data-center
traffic, not including routing artifacts of legitimate users"). Whoever is in none of them, such as private,
loopback and documentation ranges, is in no network that matters here.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import numpy as np
from iporigin._data import dataset  # its public function takes 10 µs an address

from streams import sign

Network = IPv4Network | IPv6Network

#: Nobody on the Internet asks from there: whoever does is trying something out.
LOCAL = "local"

#: Signs of each kind of network; of the others a request may come like any other.
SIGNS = {
    "internal": sign.INTERNAL,
    "crawler": sign.CRAWLER,
    "scanner": sign.CRAWLER,
    "datacenter": sign.DATACENTER,
    "relay": 0,
    "proxy": 0,
    LOCAL: sign.LOCAL,
    "": 0,
}

#: Kinds with more people behind an address than any limit foresees.
SHARED = frozenset({"relay", "proxy"})

#: What iporigin's kinds are to us. Browsers leave from CDNs' edges only through relays: iCloud Private Relay, WARP.
_KINDS = {"hosting": "datacenter", "bot": "crawler", "cdn": "relay", "vpn": "relay", "tor": "relay"}

#: Providers that are something else than their kind says. Google's own addresses are also the exits of Pixel's VPN, and
#: Meta's those of everything that Meta runs.
_PROVIDERS = {"Google": "relay", "Meta": "datacenter"}

#: Not used: Cogent is an ISP, and for none of these is there a licence in writing (iporigin's NOTICE, section 3).
_LEFT_OUT = frozenset(
    [
        "Akamai",
        "BunnyCDN",
        "BuyVM",
        "CDN77",
        "Cogent",
        "Contabo",
        "DataCamp",
        "GTHost",
        "GleSYS",
        "Melbicom",
        "Scalaxy",
        "Vercel",
    ]
)

#: Security services through which whole companies browse, by number of their autonomous system (RIRs' registers).
_PROXIES = {
    "Zscaler": (22616, 53444, 53813, 62044, 62907),
    "Netskope": (55256,),
    "Cisco Umbrella": (25605, 36692),
    "Forcepoint": (13448, 35788, 42465, 43251, 44444),
    "Palo Alto Prisma Access": (54538, 396421),
    "Menlo Security": (62654,),
    "iboss": (137922, 202276, 396253),
    "Cato Networks": (13150, 138627),
    "Skyhigh Security": (14600,),
    "Perimeter 81": (213176, 398391),
}

#: Services that open e-mails and follow their links before anybody reads them.
_SCANNERS = {
    "Proofpoint": (13916, 22843, 26211, 52129),
    "Mimecast": (30031, 33538, 37235, 39588, 42427, 60492, 136792, 208638),
    "Barracuda": (15324,),
    "MessageLabs": (7583,),
    "Cisco IronPort": (16417, 30215, 30238, 40427),
}

#: Ranges for documentation and tests, which iporigin counts among hosting providers' (RFC 5737, 3849, 5180, 7343).
_RESERVED = tuple(
    ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "2001:2::/48", "2001:10::/28")
)

#: Ranges of theirs that stand in the tables of other systems: of Barracuda's Email Gateway Defense.
_SCANNERS_RANGES = (ip_network("209.222.80.0/21"),)

_BY_ASN = {asn: "proxy" for asns in _PROXIES.values() for asn in asns} | {
    asn: "scanner" for asns in _SCANNERS.values() for asn in asns
}


def date() -> str:
    """When the ranges were gathered, YYYY-MM-DD."""
    return datetime.fromtimestamp(_data().built_at, UTC).date().isoformat()


class Networks:
    """The kind of network of an address: a key of `SIGNS`."""

    def __init__(self, internal: Sequence[Network] = ()) -> None:
        data = _data()
        kinds = [_kind(*label) for label in data.labels]
        v4 = _Ranges(data.v4_starts, data.v4_ends, [kinds[label] for label in data.v4_labels], 4)
        self._v4_starts = np.array(v4.starts, np.uint32)
        self._v4_ends = np.array(v4.ends, np.uint32)
        self._v4_kinds = np.array([*v4.kinds, ""], object)
        self._v6 = _Ranges(data.v6_starts, data.v6_ends, [kinds[label] for label in data.v6_labels], 6)
        overruling = [(network, "scanner") for network in _SCANNERS_RANGES]
        overruling += [(network, "internal") for network in internal]
        self._overruling = [(*_bounds(network), network.version, kind) for network, kind in overruling]

    def of_v4(self, packed: Collection[bytes], asns: Sequence[int]) -> list[str]:
        """The kinds of IPv4 addresses of four bytes each, which belong to `asns` (0: unknown)."""
        numbers = np.frombuffer(b"".join(packed), ">u4").astype(np.uint32)
        at = np.searchsorted(self._v4_starts, numbers, "right") - 1
        at[numbers > self._v4_ends[at]] = -1  # where the last kind is: none
        return self._overruled(self._v4_kinds[at].tolist(), numbers.tolist(), asns, 4)

    def of_v6(self, packed: Collection[bytes], asns: Sequence[int]) -> list[str]:
        """The kinds of IPv6 addresses of sixteen bytes each."""
        numbers = [int.from_bytes(each) for each in packed]
        return self._overruled([self._v6.kind(number) for number in numbers], numbers, asns, 6)

    def _overruled(self, kinds: list[str], numbers: Sequence[int], asns: Sequence[int], version: int) -> list[str]:
        if not _BY_ASN.keys().isdisjoint(asns):
            kinds = [_BY_ASN.get(asn, kind) for kind, asn in zip(kinds, asns, strict=True)]
        for first, last, of_version, what in self._overruling:
            if of_version == version:
                kinds = [what if first <= number <= last else kind for kind, number in zip(kinds, numbers, strict=True)]
        return kinds


class _Ranges:
    """Ranges of one IP version's addresses that don't overlap, in order, each of a kind."""

    def __init__(self, starts: Sequence[int], ends: Sequence[int], kinds: Sequence[str], version: int) -> None:
        """Those without a kind, and the reserved ones, are left out."""
        reserved = [_bounds(network) for network in _RESERVED if network.version == version]
        used = [
            (start, end, kind)
            for start, end, kind in zip(starts, ends, kinds, strict=True)
            if kind and not any(first <= start <= last for first, last in reserved)
        ]
        self.starts = [start for start, _, _ in used]
        self.ends = [end for _, end, _ in used]
        self.kinds = [kind for _, _, kind in used]

    def kind(self, number: int) -> str:
        """The kind of the range that holds the number, or nothing."""
        at = bisect_right(self.starts, number) - 1
        return self.kinds[at] if at >= 0 and number <= self.ends[at] else ""


def _bounds(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def _data() -> Any:
    return dataset()  # type: ignore[no-untyped-call]


def _kind(provider: str, kind: str) -> str:
    return "" if provider in _LEFT_OUT else _PROVIDERS.get(provider, _KINDS[kind])
