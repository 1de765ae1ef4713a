"""What a message's hits say by themselves: where and who, and which rules they break. Column-wise, no Kafka."""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from pixeltally.hit import Kind
from pixeltally.settings import Settings
from streams import rules
from streams.agents import Agent, Agents
from streams.places import Place, Places
from streams.rules import Judge, Ruling

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


class Enriched(NamedTuple):
    """A message's hits, column by column."""

    rulings: list[Ruling]
    places: list[Place]
    agents: list[Agent]


class Enricher:
    """Looks up and judges; what came before is remembered, within bounds."""

    def __init__(self, settings: Settings) -> None:
        self._places = Places(settings.geo_country_mmdb, settings.geo_asn_mmdb, settings.internal)
        self._agents = Agents()
        self._internal = settings.internal
        self.judge = Judge(self.version())

    def enrich(
        self, kinds: Sequence[Kind], ips: Sequence[str], user_agents: Sequence[str], purposes: Sequence[str]
    ) -> Enriched:
        """Each hit's ruling, place and agent; the columns are a hit's fields of these names."""
        places = self._places.look_up(ips)
        agents = self._agents.look_up(user_agents)
        return Enriched(self.judge.judge(kinds, places, agents, purposes), places, agents)

    def lists(self) -> dict[str, str]:
        """The version or date of each list that verdicts rest on; empty where it can't be read."""
        return {**self._agents.versions(), **self._places.dates()}

    def version(self) -> str:
        """The version of the rules and of all lists, as facts carry it: `4be1c2d0 cua1.67.0 … geo20260916`."""
        lists = [f"{_SHORT[name]}{version.replace('-', '')}" for name, version in self.lists().items()]
        ranges = ",".join(map(str, self._internal))
        own = [f"int{crc32(ranges.encode()):08x}"] if ranges else []
        return " ".join([rules.table_version(), *lists, *own])
