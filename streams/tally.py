"""One partition's count: what becomes of a message, step by step, and how a count is taken up again.

A tally is a function of the messages applied to it, in order, and of nothing else. What it gives out (facts, rows)
may therefore be given out again, by this or another worker, and says the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pixeltally.hit import NOBODY, Fact, Hit, Minute
from pixeltally.settings import Settings
from streams import attribution, duplicate, redelivery
from streams.attribution import Impression
from streams.batch import Batch
from streams.memory import Memory
from streams.registry import UNREGISTERED, Registry, unit_of
from streams.window import AHEAD_MS, MINUTE_MS, Windows


@dataclass(frozen=True)
class Rules:
    """The settings that counts depend on, in milliseconds."""

    duplicate_window_ms: int
    attribution_window_ms: int
    lateness_ms: int
    advertisers: frozenset[str] = frozenset()  #: whose ad units are counted; none named: everybody's
    max_units: int = 1_000_000  #: ad units counted at a time

    @property
    def memory_ms(self) -> int:
        """Requests are judged against those that arrived in the same span of this length, or the one before."""
        return max(self.duplicate_window_ms, self.attribution_window_ms, MINUTE_MS)

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules that the settings ask for."""
        return cls(
            settings.duplicate_window_s * 1000,
            settings.attribution_window_s * 1000,
            settings.lateness_s * 1000,
            frozenset(settings.advertisers),
            settings.max_units,
        )


class Head(msgspec.Struct):
    """Where a tally stands after a message: it rides on that message's facts."""

    offset: int  #: of the last message applied
    arrived: int  #: when the broker took that message, epoch milliseconds
    watermark: int  #: newest hit time that is not ahead of the broker's clock, epoch milliseconds
    nodes: dict[str, int] = {}  #: highest `seq` seen of each node
    told_offset: int = -1  #: the rows of messages up to this one have been told
    told_watermark: int = 0  #: the watermark at that message

    def memory_start_ms(self, rules: Rules) -> int:
        """No fact that the broker took before this matters to the messages that follow."""
        remembered = (self.arrived // rules.memory_ms - 1) * rules.memory_ms
        untold = self.told_watermark - rules.lateness_ms - 2 * MINUTE_MS - AHEAD_MS
        return min(remembered, untold)


class Tally:
    """The running count of one partition."""

    def __init__(self, partition: int, rules: Rules, head: Head) -> None:
        self.head = head
        self._rules = rules
        self._counted: Memory[int, int] = Memory(rules.memory_ms)
        self._impressions: Memory[int, list[Impression]] = Memory(rules.memory_ms)
        # A minute that began before what is recalled may lack hits, but has been told: it counts as closed.
        start = head.memory_start_ms(rules) + AHEAD_MS
        self._windows = Windows(partition, rules.lateness_ms, -(-start // MINUTE_MS) * MINUTE_MS)
        self._registry = Registry(rules.advertisers, rules.max_units, rules.memory_ms)
        self._told_offset = head.told_offset
        self._recalled = -1

    def apply(self, batch: Batch) -> bytes:
        """Count the next message in; its facts, as lines."""
        head, rules = self.head, self._rules
        self._turn(batch.arrived)
        batch.keep(redelivery.fresh(batch.hits, head.nodes))
        hits = batch.hits
        units = [self._registry.number(unit_of(hit)) for hit in hits]
        verdicts = ["valid" if unit is not None else UNREGISTERED for unit in units]
        pixels, requests = _keys(hits, units)
        duplicates = duplicate.mark(hits, requests, self._counted, rules.duplicate_window_ms)
        impressions = attribution.join(hits, pixels, self._impressions, rules.attribution_window_ms)
        for hit, verdict, is_duplicate, impression in zip(hits, verdicts, duplicates, impressions, strict=True):
            if not self._windows.add(hit, batch.arrived, verdict, is_duplicate, impression is not None):
                self._windows.recount(hit, verdict, batch.offset)
        head.watermark = _watermark(head.watermark, hits, batch.arrived)
        head.offset, head.arrived = batch.offset, batch.arrived
        self._windows.close(head.watermark, batch.offset)
        return _fact_lines(batch, verdicts, duplicates, impressions)

    def recall(self, head: Head, facts: Sequence[Fact]) -> None:
        """Take up the count from one message of facts; from all since `memory_start_ms`, in order."""
        if head.offset <= self._recalled:
            return  # a worker that had lost the partition said again what its successor had said
        self._recalled = head.offset
        if head.offset > self.head.offset:
            self.head = head
        self._turn(head.arrived)
        units = [None if fact.verdict == UNREGISTERED else self._registry.recall(unit_of(fact)) for fact in facts]
        pixels, requests = _keys(facts, units)
        duplicate.recall(facts, requests, self._counted)
        attribution.join(facts, pixels, self._impressions, 0)
        for fact in facts:
            in_time = self._windows.add(fact, head.arrived, fact.verdict, fact.duplicate, bool(fact.impression_id))
            if not in_time and head.offset > self._told_offset:
                self._windows.recount(fact, fact.verdict, head.offset)
        self._windows.close(head.watermark, head.offset)

    def tell(self) -> list[Minute]:
        """The window rows that have changed since they were last told."""
        return self._windows.tell(self.head.offset)

    def told(self) -> None:
        """What `tell` gave last is in Kafka: nobody has to tell it again."""
        self.head.told_offset, self.head.told_watermark = self.head.offset, self.head.watermark

    def _turn(self, arrived_ms: int) -> None:
        self._counted.turn(arrived_ms)
        self._impressions.turn(arrived_ms)
        self._registry.turn(arrived_ms)


def _keys(hits: Sequence[Hit], units: Sequence[int | None]) -> tuple[list[int | None], list[int | None]]:
    """Each hit's (ad unit, visitor) as one integer, and what it is a duplicate by; None for what is like no other."""
    pixels: list[int | None] = []
    requests: list[int | None] = []
    for hit, unit in zip(hits, units, strict=True):
        pixels.append(None if unit is None or hit.visitor == NOBODY else unit << 64 | hit.visitor)
        requests.append(None if unit is None else duplicate.key(hit, unit))
    return pixels, requests


def _watermark(watermark: int, hits: Sequence[Hit], arrived: int) -> int:
    return max(watermark, max((hit.ts for hit in hits if hit.ts <= arrived), default=0))


def _fact_lines(
    batch: Batch, verdicts: Sequence[str], duplicates: Sequence[bool], impressions: Sequence[Impression | None]
) -> bytes:
    """The hit lines as they are, each with what was found put in before its closing brace."""
    endings = {
        (verdict, duplicate): b',"verdict":"%b","version":%d%b}'
        % (verdict.encode(), batch.offset, b',"duplicate":true' if duplicate else b"")
        for verdict in {*verdicts}
        for duplicate in (False, True)
    }
    lines = []
    for line, hit, verdict, is_duplicate, impression in zip(
        batch.lines, batch.hits, verdicts, duplicates, impressions, strict=True
    ):
        found = endings[verdict, is_duplicate]
        if impression is not None:
            seconds = (hit.ts - impression.ts) / 1000
            joined = f',"impression_id":"{impression.id}","seconds_to_click":{seconds}}}'
            found = found[:-1] + joined.encode()
        lines.append(line.rstrip()[:-1] + found)
    return b"\n".join(lines)
