"""One partition's count: what becomes of a message, step by step, and how a count is taken up again.

A tally is a function of the messages applied to it, in order, and of nothing else. What it gives out (facts, rows)
may therefore be given out again, by this or another worker, and says the same.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import msgspec

from pixeltally.hit import IMAGE_KINDS, NOBODY, VALID, Fact, Hit, Minute
from pixeltally.settings import Settings
from streams import duplicate, redelivery
from streams.attribution import Attribution, joined
from streams.batch import Batch
from streams.findings import Findings
from streams.memory import Memory
from streams.registry import UNREGISTERED, Registry, unit_of
from streams.window import AHEAD_MS, MINUTE_MS, Windows

_decode_facts = msgspec.json.Decoder(Fact).decode_lines


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
    corrections: int = 0  #: how many of the message's facts, the last, are of earlier messages

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
        self._counted: Memory[Hashable, int] = Memory(rules.memory_ms)
        self._attribution = Attribution(rules.memory_ms, rules.attribution_window_ms)
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
        units = self._registry.numbers(hits)
        verdicts = [VALID if unit is not None else UNREGISTERED for unit in units]
        pixels = _pixels(hits, units)
        duplicates = duplicate.mark(
            hits, _requests(hits, units, pixels, verdicts), self._counted, rules.duplicate_window_ms
        )
        leaders, corrections = self._attribution.join(hits, pixels, batch.offset)
        found = Findings(units, verdicts, duplicates, leaders)
        facts = _facts(batch, found)
        self._attribution.remember(hits, pixels, leaders, facts)
        for index in self._windows.add(hits, found, batch.arrived):
            self._windows.recount(hits[index], verdicts[index], batch.offset)
        for correction in corrections:
            self._attribute(correction.fact, correction.first, batch.offset)
        head.watermark = _watermark(head.watermark, hits, batch.arrived)
        head.offset, head.arrived, head.corrections = batch.offset, batch.arrived, len(corrections)
        self._windows.close(head.watermark, batch.offset)
        return b"\n".join(facts + [correction.line for correction in corrections])

    def recall(self, head: Head, value: bytes) -> None:
        """Take up the count from one message of facts; from all since `memory_start_ms`, in order."""
        if head.offset <= self._recalled:
            return  # a worker that had lost the partition said again what its successor had said
        self._recalled = head.offset
        if head.offset > self.head.offset:
            self.head = head
        self._turn(head.arrived)
        lines, facts = value.split(b"\n") if value else [], _decode_facts(value)
        count = len(facts) - head.corrections
        self._recall_corrections(facts[count:], lines[count:], head)
        self._recall_facts(facts[:count], lines[:count], head)
        self._windows.close(head.watermark, head.offset)

    def tell(self) -> list[Minute]:
        """The window rows that have changed since they were last told."""
        return self._windows.tell(self.head.offset)

    def told(self) -> None:
        """What `tell` gave last is in Kafka: nobody has to tell it again."""
        self.head.told_offset, self.head.told_watermark = self.head.offset, self.head.watermark

    def _recall_facts(self, facts: Sequence[Fact], lines: Sequence[bytes], head: Head) -> None:
        units = self._recall_units(facts)
        verdicts, duplicates = [fact.verdict for fact in facts], [fact.duplicate for fact in facts]
        pixels = _pixels(facts, units)
        duplicate.recall(facts, _requests(facts, units, pixels, verdicts), self._counted)
        leaders = self._attribution.recall(facts, pixels, lines)
        for index in self._windows.add(facts, Findings(units, verdicts, duplicates, leaders), head.arrived):
            if head.offset > self._told_offset:
                self._windows.recount(facts[index], verdicts[index], head.offset)

    def _recall_corrections(self, facts: Sequence[Fact], lines: Sequence[bytes], head: Head) -> None:
        for fact, pixel, line in zip(facts, _pixels(facts, self._recall_units(facts)), lines, strict=True):
            self._attribute(fact, self._attribution.recall_correction(fact, pixel, line), head.offset)

    def _recall_units(self, facts: Sequence[Fact]) -> list[int | None]:
        return [None if fact.verdict == UNREGISTERED else self._registry.recall(unit_of(fact)) for fact in facts]

    def _attribute(self, fact: Fact, first: bool, offset: int) -> None:
        """Have the minute of a corrected click count it as attributed."""
        if first and fact.kind == "click" and fact.verdict == VALID and not fact.duplicate:
            in_time = self._windows.attribute(fact)
            if not in_time and offset > self._told_offset:
                self._windows.recount(fact, fact.verdict, offset)

    def _turn(self, arrived_ms: int) -> None:
        self._counted.turn(arrived_ms)
        self._attribution.turn(arrived_ms)
        self._registry.turn(arrived_ms)


def _pixels(hits: Sequence[Hit], units: Sequence[int | None]) -> list[int | None]:
    """Each hit's (ad unit, visitor) as one integer; None for what is like no other."""
    return [
        None if unit is None or hit.visitor == NOBODY else unit << 64 | hit.visitor
        for hit, unit in zip(hits, units, strict=True)
    ]


def _requests(
    hits: Sequence[Hit], units: Sequence[int | None], pixels: Sequence[int | None], verdicts: Sequence[str]
) -> list[Hashable | None]:
    """What each hit is a duplicate by; None for what is invalid or like no other."""
    keys: list[Hashable | None] = []
    for hit, unit, pixel, verdict in zip(hits, units, pixels, verdicts, strict=True):
        if verdict != VALID or unit is None:
            keys.append(None)
        elif hit.kind in IMAGE_KINDS:
            keys.append(pixel)
        else:
            keys.append(duplicate.key(hit, pixel, unit))
    return keys


def _watermark(watermark: int, hits: Sequence[Hit], arrived: int) -> int:
    return max(watermark, max((hit.ts for hit in hits if hit.ts <= arrived), default=0))


def _facts(batch: Batch, found: Findings) -> list[bytes]:
    """The hit lines as they are, each with what was found put in before its closing brace."""
    endings = {
        (verdict, duplicate): b',"verdict":"%b","version":%d%b}'
        % (verdict.encode(), batch.offset, b',"duplicate":true' if duplicate else b"")
        for verdict in {*found.verdicts}
        for duplicate in (False, True)
    }
    facts = [
        line.rstrip()[:-1] + endings[judged]
        for line, judged in zip(batch.lines, zip(found.verdicts, found.duplicates, strict=True), strict=True)
    ]
    for index, leader in found.leaders.items():
        facts[index] = facts[index][:-1] + joined(batch.hits[index], leader) + b"}"
    return facts
