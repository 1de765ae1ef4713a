"""One partition's count: what becomes of a message, step by step, and how a count is taken up again.

A tally is a function of the messages applied to it, in order, and of nothing else. What it gives out (facts, rows)
may therefore be given out again, by this or another worker, and says the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from pixeltally import packed
from pixeltally.compiled import Array, compiled
from pixeltally.hit import VALID, Fact, Hit, Minute
from streams import columns, redelivery, sign, timing
from streams.attribution import Attribution, joined
from streams.batch import Batch, parse_facts
from streams.columns import CLICK, Lines
from streams.duplicate import Duplicates
from streams.enrich import Enricher
from streams.facts import facts
from streams.head import Head, Rules
from streams.hits import Hits
from streams.orders import Orders
from streams.rate import Rates
from streams.redelivery import Node
from streams.registry import NOT_COUNTED, UNREGISTERED, Registry, unit_of
from streams.rules import VERDICT
from streams.trail import WIDTH, Leader
from streams.visits import Visits
from streams.window import AHEAD_MS, MINUTE_MS, Windows


class Applied(NamedTuple):
    """What came of a message."""

    ahead: list[tuple[Head, bytes]]  #: corrections that don't fit into its message of facts: messages that go before it
    facts: bytes  #: as lines
    hits: int  #: how many there were, what was shipped twice apart
    duplicates: int
    late: int  #: hits out of time


class Tally:
    """The running count of one partition."""

    def __init__(self, partition: int, rules: Rules, enricher: Enricher, head: Head) -> None:
        self.head = head
        self._rules = rules
        self._enricher = enricher
        self._judge = enricher.judge
        self._nodes: dict[str, Node] = {}
        self._registry = Registry(rules.advertisers, rules.max_units, rules.memory_ms)
        self._visits = Visits(WIDTH, rules.memory_ms)
        self._attribution = Attribution(self._visits, rules.memory_ms, rules.attribution_window_ms)
        self._duplicates = Duplicates(rules.duplicate_window_ms)
        self._orders = Orders(rules.memory_ms)
        self._rates = Rates()
        # A minute that began before what is recalled may lack hits, but has been told: it counts as closed.
        start = head.memory_start_ms(rules) + AHEAD_MS
        closed_before = -(-start // MINUTE_MS) * MINUTE_MS
        self._windows = Windows(
            partition, rules.lateness_ms, closed_before, self._registry.name, enricher.judge.verdicts
        )
        self._told_offset = head.told_offset
        self._recalled = -1
        self._has_said_nodes = False  #: all of them
        self._seen_elsewhere: dict[str, Node] = {}  #: of nodes, where visitors came from

    def __len__(self) -> int:
        """How much is held: visitors counted, impressions and clicks that others may follow, windows."""
        return len(self._visits) + len(self._duplicates) + len(self._attribution) + len(self._windows)

    def apply(self, batch: Batch) -> Applied:
        """Count the next message in."""
        version = self.head.base + batch.offset
        turned = self._turn(batch.arrived)
        fresh, nodes = redelivery.fresh(batch.lines, self._nodes, batch.arrived)
        if fresh is not None:
            batch.keep(fresh)
        hits = self._hits(batch.lines, self._registry.numbers(batch.lines))
        leaders, corrections = self._attribution.join(hits, version)
        rulings = self._rule(hits, batch.enriched.signs, leaders)
        verdicts = np.ascontiguousarray(rulings[:, VERDICT])
        duplicates = self._mark(hits, verdicts)
        self._rates.count(hits, verdicts, duplicates)
        told = facts(
            batch.lines,
            batch.enriched,
            rulings,
            duplicates,
            {index: joined(hits.actions[index], leader) for index, leader in leaders.items()},
            self._enricher.fragments.text,
            version,
        )
        self._attribution.remember(hits, leaders, told.line)
        for correction in corrections:
            self._attribute(correction.fact, correction.first, batch.offset)
        late = self._windows.add(hits, verdicts, duplicates, leaders, batch.arrived)
        self._recount(hits, late, batch.offset)
        *others, last = packed.parts([correction.line for correction in corrections])
        ahead = [(self._ahead(part, batch.arrived), b"\n".join(part)) for part in others]
        head = self.head
        head.ahead = False
        head.watermark = max(head.watermark, _newest(hits.times, batch.arrived))
        head.offset, head.arrived, head.corrections = batch.offset, batch.arrived, len(last)
        head.nodes = nodes if self._has_said_nodes and not turned else dict(self._nodes)
        self._has_said_nodes = True
        self._windows.close(head.watermark, batch.offset)
        lines = [told.text] if len(hits) else []
        lines += last
        return Applied(ahead, b"\n".join(lines), len(hits), int(np.count_nonzero(duplicates)), len(late))

    def recall(self, head: Head, value: bytes) -> None:
        """Take up the count from one message of facts; from all since `memory_start_ms`, in order."""
        if head.message <= self._recalled:
            return  # a worker that had lost the partition said again what its successor had said
        self._turn(head.arrived)
        lines = parse_facts(value)
        if head.ahead:
            self._recall_corrections(lines, head)
            return
        self._recalled, self._has_said_nodes = head.offset, True
        if head.offset > self.head.offset:
            self.head = head
        self._nodes.update(head.nodes)
        count = len(lines) - head.corrections
        self._recall_corrections(lines.part(count, len(lines)), head)
        self._recall_facts(lines.part(0, count), head)
        self._windows.close(head.watermark, head.offset)

    def inherit(self, head: Head, value: bytes, moved: Callable[[Lines], Array]) -> None:
        """Take up what one message of another partition's facts says of visitors that have `moved` here.

        They were counted there: here they are known. What was seen of nodes matters up to the last line that moved:
        behind it are lines of a node's that went here.
        """
        self._turn(head.arrived)
        self._seen_elsewhere.update(head.nodes)
        lines = parse_facts(value)
        count = len(lines) - head.corrections
        facts, corrections = (part.kept(moved(part)) for part in (lines.part(0, count), lines.part(count, len(lines))))
        if len(facts):
            self._nodes.update(self._seen_elsewhere)
        self._recall_corrections(corrections, head, counted=False)
        self._recall_facts(facts, head, counted=False)
        self._windows.close(head.watermark, -1)

    def tell(self) -> list[Minute]:
        """The window rows that have changed since they were last told."""
        return self._windows.tell(self.head.offset)

    def told(self) -> None:
        """What `tell` gave last is in Kafka: nobody has to tell it again."""
        self.head.told_offset, self.head.told_watermark = self.head.offset, self.head.watermark

    def _rule(self, hits: Hits, signs: Array, leaders: Mapping[int, Leader]) -> Array:
        """What the rules say of each hit, by itself and by what came before it; rows of `Judge.table`."""
        judge = self._judge
        numbers = judge.judge(signs, hits.units)
        for index, reason in self._rates.over(hits).items():
            if not signs[index] & sign.SHARED:
                numbers[index] = judge.also(int(numbers[index]), reason)
        for index in leaders:
            if hits.kinds[index] == CLICK and not signs[index] & sign.LOCAL:
                first_ms = self._attribution.first_ms(hits, index)
                if timing.too_soon(int(hits.times[index]), first_ms):
                    numbers[index] = judge.also(int(numbers[index]), timing.REASON)
        return judge.table[numbers]

    def _mark(self, hits: Hits, verdicts: Array) -> Array:
        """Which hits are duplicates."""
        ordered = self._orders.named(hits)
        duplicates = self._duplicates.mark(hits, ordered, verdicts)
        for index in ordered:
            if verdicts[index] == 0:
                duplicates[index] = self._orders.is_duplicate(hits, index)
        return duplicates

    def _hits(self, lines: Lines, units: Array) -> Hits:
        return Hits.of(lines, units, self._registry.campaigns(units), self._visits)

    def _recall_facts(self, lines: Lines, head: Head, counted: bool = True) -> None:
        verdicts = self._enricher.verdicts(lines)
        units = self._registry.recall(lines, verdicts != self._judge.verdict(UNREGISTERED))
        hits = self._hits(lines, units)
        duplicates = lines.columns[columns.DUPLICATE] != 0
        ordered = self._orders.named(hits)
        self._duplicates.recall(hits, ordered, verdicts, duplicates)
        for index in ordered:
            if verdicts[index] == 0 and not duplicates[index]:
                self._orders.is_duplicate(hits, index)
        leaders = self._attribution.recall(hits, lines.line)
        self._rates.count(hits, verdicts, duplicates)
        if not counted:
            self._windows.know(hits, verdicts, head.arrived)
            return
        late = self._windows.add(hits, verdicts, duplicates, leaders, head.arrived)
        if head.offset > self._told_offset:
            self._recount(hits, late, head.offset)

    def _ahead(self, corrections: Sequence[bytes], arrived_ms: int) -> Head:
        """The head of a message of corrections that goes before that of the message which is being applied."""
        return msgspec.structs.replace(
            self.head, arrived=arrived_ms, nodes={}, corrections=len(corrections), ahead=True
        )

    def _recall_corrections(self, lines: Lines, head: Head, counted: bool = True) -> None:
        if not len(lines):
            return
        units = np.array([self._registry.known(unit_of(fact)) for fact in lines.actions.values()])
        hits = self._hits(lines, units)
        for index, fact in hits.actions.items():
            first = self._attribution.recall_correction(hits, index, lines.line(index))
            if counted:
                self._attribute(fact, first, head.message)

    def _attribute(self, fact: Hit, first: bool, offset: int) -> None:
        """Have the minute of a corrected click count it as attributed."""
        if first and isinstance(fact, Fact) and fact.kind == "click" and fact.verdict == VALID and not fact.duplicate:
            unit = self._registry.known(unit_of(fact))
            in_time = unit != NOT_COUNTED and self._windows.attribute(fact.ts, unit)
            if not in_time and offset > self._told_offset:
                self._windows.recount(fact.ts, unit_of(fact), offset)

    def _recount(self, hits: Hits, late: list[int], offset: int) -> None:
        """Have the minutes of hits out of time recounted from facts."""
        if not late:
            return
        minutes = hits.times[late] // MINUTE_MS
        for minute, unit in set(zip(minutes.tolist(), hits.units[late].tolist(), strict=True)):
            self._windows.recount(minute * MINUTE_MS, self._registry.name(unit), offset)

    def _turn(self, arrived_ms: int) -> bool:
        """Move on to the time of arrival `arrived_ms`; whether memory is another span's from now on."""
        self._rates.turn(arrived_ms)
        spans = self._visits.turn(arrived_ms)
        if spans:
            self._duplicates.turn(spans)
            self._attribution.turn(arrived_ms, spans)
            self._orders.turn(arrived_ms)
            self._registry.turn(arrived_ms, self._windows.units)
            redelivery.forget(self._nodes, arrived_ms)
        return spans > 0


@compiled
def _newest(times: Array, arrived_ms: int) -> int:
    """The newest time that is not ahead of the broker's clock; 0 where there is none."""
    newest = 0
    for ts in times:
        if newest < ts <= arrived_ms:
            newest = ts
    return newest
