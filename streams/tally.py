"""One partition's count: what becomes of a message, step by step, and how a count is taken up again.

A tally is a function of the messages applied to it, in order, and of nothing else. What it gives out (facts, rows)
may therefore be given out again, by this or another worker, and says the same.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pixeltally import metrics
from pixeltally.hit import VALID, Fact, Hit, Minute
from pixeltally.settings import Settings
from streams import duplicate, redelivery, timing
from streams.attribution import Attribution, joined
from streams.batch import Batch
from streams.columns import Columns
from streams.enrich import Enriched, Enricher
from streams.memory import Memory
from streams.networks import LOCAL, SHARED
from streams.rate import Rates
from streams.registry import NOT_COUNTED, UNREGISTERED, Registry, unit_of
from streams.rules import Ruling
from streams.trail import Leader
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
        rated = (self.arrived // MINUTE_MS - 1) * MINUTE_MS
        untold = self.told_watermark - rules.lateness_ms - 2 * MINUTE_MS - AHEAD_MS
        return min(remembered, rated, untold)


class Tally:
    """The running count of one partition."""

    def __init__(self, partition: int, rules: Rules, enricher: Enricher, head: Head) -> None:
        self.head = head
        self._rules = rules
        self._enricher = enricher
        self._rates = Rates()
        self._counted: Memory[Hashable, int] = Memory(rules.memory_ms)
        self._attribution = Attribution(rules.memory_ms, rules.attribution_window_ms)
        # A minute that began before what is recalled may lack hits, but has been told: it counts as closed.
        start = head.memory_start_ms(rules) + AHEAD_MS
        self._windows = Windows(partition, rules.lateness_ms, -(-start // MINUTE_MS) * MINUTE_MS)
        self._registry = Registry(rules.advertisers, rules.max_units, rules.memory_ms)
        self._told_offset = head.told_offset
        self._recalled = -1

    def __len__(self) -> int:
        """How much is held: visitors counted, impressions and clicks that others may follow, windows."""
        return len(self._counted) + len(self._attribution) + len(self._windows)

    def apply(self, batch: Batch) -> bytes:
        """Count the next message in; its facts, as lines."""
        head, rules = self.head, self._rules
        self._turn(batch.arrived)
        batch.keep(redelivery.fresh(batch.hits, head.nodes))
        units = self._registry.numbers(batch.hits)
        columns = Columns.of(batch.hits, units)
        leaders, corrections = self._attribution.join(columns, batch.offset)
        enriched = self._enricher.enrich(
            [hit.kind for hit in batch.hits],
            [hit.ip for hit in batch.hits],
            [hit.user_agent for hit in batch.hits],
            [hit.purpose for hit in batch.hits],
        )
        rulings = self._rule(columns, enriched, leaders)
        verdicts = [ruling.verdict for ruling in rulings]
        duplicates = duplicate.mark(columns, verdicts, self._counted, rules.duplicate_window_ms)
        self._rate(columns, verdicts, duplicates)
        facts = _facts(batch, enriched, rulings, duplicates, leaders)
        self._attribution.remember(columns, leaders, facts)
        for correction in corrections:
            self._attribute(correction.fact, correction.first, batch.offset)
        late = self._windows.add(columns, verdicts, duplicates, leaders, batch.arrived)
        for index in late:
            self._windows.recount(columns.hits[index], verdicts[index], batch.offset)
        head.watermark = max([head.watermark, *(ts for ts in columns.times if ts <= batch.arrived)])
        head.offset, head.arrived, head.corrections = batch.offset, batch.arrived, len(corrections)
        self._windows.close(head.watermark, batch.offset)
        metrics.STREAMS_HITS.inc(len(facts))
        metrics.STREAMS_DUPLICATES.inc(sum(duplicates))
        metrics.STREAMS_LATE.inc(len(late))
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

    def _rule(self, columns: Columns, enriched: Enriched, leaders: Mapping[int, Leader]) -> list[Ruling]:
        """What the rules say of each hit, by itself and by what came before it."""
        judge, rulings = self._enricher.judge, enriched.rulings
        if self._rates.anybody_over:
            for index, reason in self._rates.over(_people(columns.hits), columns.times).items():
                if enriched.places[index].network not in SHARED:
                    rulings[index] = judge.also(rulings[index], reason)
        for index in leaders:
            if columns.hits[index].kind == "click" and enriched.places[index].network != LOCAL:
                first, _ = self._attribution.first(columns.pixels[index])
                if timing.too_soon(columns.times[index], first):
                    rulings[index] = judge.also(rulings[index], timing.REASON)
        if NOT_COUNTED in columns.units:
            for index in [index for index, unit in enumerate(columns.units) if unit == NOT_COUNTED]:
                rulings[index] = judge.also(rulings[index], UNREGISTERED)
        return rulings

    def _rate(self, columns: Columns, verdicts: Sequence[str], duplicates: Sequence[bool]) -> None:
        """Count in what is counted, so that rates are known to the messages that follow."""
        counted = [
            index
            for index, (pixel, verdict, duplicate) in enumerate(zip(columns.pixels, verdicts, duplicates, strict=True))
            if pixel is not None and verdict == VALID and not duplicate
        ]
        self._rates.count(
            _people([columns.hits[index] for index in counted]), [columns.times[index] for index in counted]
        )

    def _recall_facts(self, facts: list[Fact], lines: Sequence[bytes], head: Head) -> None:
        units = [
            NOT_COUNTED if fact.verdict == UNREGISTERED else self._registry.recall(unit_of(fact)) for fact in facts
        ]
        columns = Columns.of(facts, units)
        duplicate.recall(columns, facts, self._counted)
        leaders = self._attribution.recall(columns, facts, lines)
        verdicts, duplicates = [fact.verdict for fact in facts], [fact.duplicate for fact in facts]
        self._rate(columns, verdicts, duplicates)
        for index in self._windows.add(columns, verdicts, duplicates, leaders, head.arrived):
            if head.offset > self._told_offset:
                self._windows.recount(facts[index], verdicts[index], head.offset)

    def _recall_corrections(self, facts: list[Fact], lines: Sequence[bytes], head: Head) -> None:
        for fact, line in zip(facts, lines, strict=True):
            columns = Columns.of([fact], [self._registry.known(unit_of(fact))])
            first = self._attribution.recall_correction(columns, fact, line)
            self._attribute(fact, first, head.offset)

    def _attribute(self, fact: Fact, first: bool, offset: int) -> None:
        """Have the minute of a corrected click count it as attributed."""
        if first and fact.kind == "click" and fact.verdict == VALID and not fact.duplicate:
            in_time = self._windows.attribute(fact)
            if not in_time and offset > self._told_offset:
                self._windows.recount(fact, fact.verdict, offset)

    def _turn(self, arrived_ms: int) -> None:
        self._rates.turn(arrived_ms)
        self._counted.turn(arrived_ms)
        self._attribution.turn(arrived_ms)
        self._registry.turn(arrived_ms)


def _people(hits: Sequence[Hit]) -> list[Hashable]:
    """The visitors of campaigns."""
    return [(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]


def _facts(
    batch: Batch,
    enriched: Enriched,
    rulings: Sequence[Ruling],
    duplicates: Sequence[bool],
    leaders: Mapping[int, Leader],
) -> list[bytes]:
    """The hit lines as they are, each with what was found put in before its closing brace."""
    version = b',"version":%d' % batch.offset
    endings = {False: version + b"}", True: version + b',"duplicate":true}'}
    facts = [
        b"".join((line.rstrip()[:-1], place.json, agent.json, ruling.json, endings[is_duplicate]))
        for line, place, agent, ruling, is_duplicate in zip(
            batch.lines, enriched.places, enriched.agents, rulings, duplicates, strict=True
        )
    ]
    for index, leader in leaders.items():
        facts[index] = facts[index][:-1] + joined(batch.hits[index], leader) + b"}"
    return facts
