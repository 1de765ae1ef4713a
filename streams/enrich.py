"""What a message's hits say by themselves: where and who, and which rules they break. Column-wise, no Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from pixeltally.cache import Cache
from pixeltally.compiled import Array, compiled
from pixeltally.fragment import Fragments
from pixeltally.hit import Kind
from pixeltally.settings import Settings
from streams import columns, rules, sign
from streams.agents import Agents
from streams.columns import Lines, text_of
from streams.networks import SHARED
from streams.places import Places
from streams.rules import KIND_SIGNS, Judge, Ruling, purpose_sign

#: How lists are called in the version of the rules.
_SHORT = {
    "crawler-user-agents": "cua",
    "crawlerdetect": "cd",
    "is-crawler": "isc",
    "ua-parser-builtins": "ua",
    "iporigin": "ipo",
    "asn": "asn",
    "country": "geo",
}

#: Addresses and agents remembered; about 60 and 250 bytes each.
_MOST_ADDRESSES, _MOST_AGENTS = 250_000, 50_000

#: Columns of what is known of an address or an agent: its signs, and its fragment's start and length.
SIGNS, PIECE, LENGTH = 0, 1, 2


@dataclass(slots=True)
class Enriched:
    """A message's hits: what is seen of them, and the fragments of their facts, a row each (`SIGNS`, `PIECE`, …)."""

    signs: Array
    places: Array
    agents: Array

    def kept(self, kept: Array) -> "Enriched":
        """The hits that `kept` says yes to."""
        return self if kept.all() else Enriched(self.signs[kept], self.places[kept], self.agents[kept])

    def part(self, first: int, end: int) -> "Enriched":
        """The hits from one up to another."""
        return Enriched(self.signs[first:end], self.places[first:end], self.agents[first:end])


class Enricher:
    """Looks up and judges; what came before is remembered, within bounds."""

    def __init__(self, settings: Settings) -> None:
        self._places = Places(settings.geo_country_mmdb, settings.geo_asn_mmdb, settings.internal)
        self._agents = Agents()
        self._by_address = Cache(3, _MOST_ADDRESSES)
        self._by_agent = Cache(3, _MOST_AGENTS)
        self._by_verdict = Cache(1, 1000)
        self._internal = settings.internal
        self.fragments = Fragments()
        self.judge = Judge(self.version(), self.fragments)

    def look_up(self, lines: Lines) -> Enriched:
        """What lines say by themselves; `sign.BAD_ADDRESS` where the address is none."""
        places = self._by_address.look_up(lines.text, lines.columns[text_of(columns.IP)], self._addresses)
        agents = self._by_agent.look_up(lines.text, lines.columns[text_of(columns.USER_AGENT)], self._user_agents)
        signs = np.empty(len(lines), np.int64)
        purposes = lines.columns[text_of(columns.PURPOSE)]
        if _see(places, agents, lines.columns[columns.KIND], purposes, signs):
            for index in np.flatnonzero(purposes[0] < purposes[1]).tolist():
                signs[index] |= purpose_sign(lines.read(columns.PURPOSE, index))
        return Enriched(signs, places, agents)

    def verdicts(self, lines: Lines) -> Array:
        """The numbers of facts' verdicts: places in `Judge.verdicts`."""
        spans = lines.columns[text_of(columns.VERDICT)]
        return self._by_verdict.look_up(lines.text, spans, self._verdicts)[:, 0]

    def judge_all(
        self, kinds: Sequence[Kind], ips: Sequence[str], user_agents: Sequence[str], purposes: Sequence[str]
    ) -> list[Ruling]:
        """Each request's ruling; the columns are a hit's fields of these names."""
        places, agents = self._places.look_up(ips), self._agents.look_up(user_agents)
        return [
            self.judge.ruling(place.signs | agent.signs | KIND_SIGNS[kind] | purpose_sign(purpose))
            for kind, place, agent, purpose in zip(kinds, places, agents, purposes, strict=True)
        ]

    def networks(self, ips: Sequence[str]) -> list[str]:
        """What kind of network each address is of."""
        return [place.network for place in self._places.look_up(ips)]

    def lists(self) -> dict[str, str]:
        """The version or date of each list that verdicts rest on; empty where it can't be read."""
        return {**self._agents.versions(), **self._places.dates()}

    def version(self) -> str:
        """The version of the rules and of all lists, as facts carry it: `4be1c2d0 cua1.67.0 … geo20260916`."""
        lists = [f"{_SHORT[name]}{version.replace('-', '')}" for name, version in self.lists().items()]
        ranges = ",".join(map(str, self._internal))
        own = [f"int{crc32(ranges.encode()):08x}"] if ranges else []
        return " ".join([rules.table_version(), *lists, *own])

    def _addresses(self, questions: list[tuple[str, ...]]) -> list[tuple[int, int, int]]:
        places = self._places.look_up([ip for (ip,) in questions])
        return [
            (place.signs | (sign.SHARED if place.network in SHARED else 0), *self.fragments.place(place.json))
            for place in places
        ]

    def _user_agents(self, questions: list[tuple[str, ...]]) -> list[tuple[int, int, int]]:
        agents = self._agents.look_up([agent for (agent,) in questions])
        return [(agent.signs, *self.fragments.place(agent.json)) for agent in agents]

    def _verdicts(self, questions: list[tuple[str, ...]]) -> list[tuple[int]]:
        return [(self.judge.verdict(name),) for (name,) in questions]


@compiled
def _see(places: Array, agents: Array, kinds: Array, purposes: Array, signs: Array) -> int:
    """Put together what is seen of each hit; how many say what they are for."""
    count = 0
    for index in range(signs.size):
        signs[index] = places[index, SIGNS] | agents[index, SIGNS]
        if kinds[index] == columns.OPEN:
            signs[index] |= sign.OPEN
        count += purposes[0, index] < purposes[1, index]
    return count
