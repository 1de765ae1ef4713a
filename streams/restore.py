"""Takes a partition's count up again from its own facts.

The facts topic is the streams tier's changelog: each message of hits has one message of facts, in the same
partition, and the tally's head rides on it. So there is no other state to keep, and none that could disagree. Where
what the message corrects is more than one holds, the rest goes before it, in messages with the head of before.
"""

import logging
from collections.abc import Iterator
from copy import deepcopy

from pixeltally import topics
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from streams.batch import parse
from streams.enrich import Enricher
from streams.facts_topic import Reader
from streams.growth import Growth, growth
from streams.head import Head, Rules
from streams.tally import Tally

log = logging.getLogger("streams")


def restore(settings: Settings, enricher: Enricher, partition: int) -> Tally:
    """The tally of `partition` as its last worker left it; a new one where there was none.

    Raises KafkaException where the broker can't be read, and :class:`Refused` where topics were grown as they mustn't.
    """
    reader = Reader(settings)
    try:
        return _Restoring(reader, Rules.of(settings), enricher).restore(partition)
    finally:
        reader.close()


class _Restoring:
    """Makes tallies of what a reader reads."""

    def __init__(self, reader: Reader, rules: Rules, enricher: Enricher) -> None:
        self._reader = reader
        self._rules = rules
        self._enricher = enricher
        self._count = reader.partitions(topics.HITS)

    def restore(self, partition: int) -> Tally:
        """The tally as its last worker left it, or a new one."""
        _, end = self._reader.bounds(topics.FACTS, partition)
        while True:
            head, grown = self._head(partition, end)
            tally = Tally(partition, self._rules, self._enricher, head)
            parent = grown.parent(partition) if grown else None
            if grown is not None and parent is not None:
                self._inherit(tally, partition, parent, grown)
            gap = self._recall(tally, partition, end)
            if gap is None:
                return tally
            log.warning("%s/%d lacks facts before offset %d: they are made again", topics.FACTS, partition, gap)
            end = gap

    def _head(self, partition: int, end: int) -> tuple[Head, Growth | None]:
        """Where to go on after the facts up to `end`, and the growth of topics that visitors may have moved in."""
        first, _ = self._reader.bounds(topics.FACTS, partition)
        head = self._reader.head(partition, end - 1) if end > first else None
        if head is not None and head.partitions == self._count:
            return head, Growth(head.grown_from, self._count) if head.grown_from else None
        grown = self._growth()
        if head is None:
            head = self._first_head(partition, grown)
        head.partitions, head.grown_from = self._count, grown.before if grown else 0
        return head, grown

    def _growth(self) -> Growth | None:
        """The growth that the partitions' last facts tell of. Raises :class:`Refused`."""
        for topic in (topics.FACTS, topics.MINUTES, topics.DEAD):
            if self._reader.partitions(topic) < self._count:
                raise Refused(f"{topic} has fewer partitions than {topics.HITS}: grow it to {self._count}, too")
        heads = []
        for partition in range(self._count):
            first, end = self._reader.bounds(topics.FACTS, partition)
            if end > first:
                heads.append(self._reader.head(partition, end - 1))
        newest = max((head.arrived for head in heads), default=0)
        recent = [head for head in heads if head.arrived >= newest - 2 * self._rules.memory_ms]
        return growth(
            (head.grown_from if head.partitions == self._count else head.partitions for head in recent), self._count
        )

    def _first_head(self, partition: int, grown: Growth | None) -> Head:
        """The head of a partition without facts."""
        first, _ = self._reader.bounds(topics.HITS, partition)
        parent = grown.parent(partition) if grown else None
        if parent is None:
            return Head(first - 1, 0, 0)
        theirs = self.restore(parent).head
        return Head(
            first - 1,
            min(theirs.arrived, self._began_ms(partition)),
            theirs.watermark,
            told_watermark=theirs.told_watermark,
            base=theirs.base + self._reader.bounds(topics.HITS, parent)[1],
        )

    def _began_ms(self, partition: int) -> int:
        """When the first hits of a partition came; far ahead where none have."""
        first, end = self._reader.bounds(topics.HITS, partition)
        return next(self._reader.hits(partition, first, first + 1)).arrived if end > first else 1 << 62

    def _inherit(self, tally: Tally, partition: int, parent: int, grown: Growth) -> None:
        """Take up what is known of visitors from before they moved."""
        start_ms, began_ms = tally.head.memory_start_ms(self._rules), self._began_ms(partition)
        if start_ms < began_ms:
            for head, facts in self._facts(parent, start_ms):
                if head.arrived >= began_ms:
                    break
                tally.inherit(head, facts, lambda lines: grown.moved(lines, partition))

    def _facts(self, partition: int, start_ms: int) -> Iterator[tuple[Head, bytes]]:
        """The facts of another partition since `start_ms`; those of hits that nobody has counted yet are made here."""
        first, end = self._reader.bounds(topics.FACTS, partition)
        if end > first:
            for _, head, facts in self._reader.facts(partition, self._reader.since(partition, start_ms, end), end):
                yield head, facts
        tally = self.restore(partition)
        _, end = self._reader.bounds(topics.HITS, partition)
        for message in self._reader.hits(partition, tally.head.offset + 1, end):
            [(batch, _)] = parse(self._enricher, [message])
            applied = tally.apply(batch)
            yield from applied.ahead
            yield deepcopy(tally.head), applied.facts  # which goes on being changed

    def _recall(self, tally: Tally, partition: int, end: int) -> int | None:
        """Recall facts as long as they follow one another; the facts' offset from which on they don't.

        A worker whose sending failed may have left some out.
        """
        first, _ = self._reader.bounds(topics.FACTS, partition)
        if end <= first:
            return None
        start = self._reader.since(partition, tally.head.memory_start_ms(self._rules), end)
        expected = None
        for offset, head, facts in self._reader.facts(partition, start, end):
            if expected is not None and head.offset > expected:
                return offset
            expected = max(expected or 0, head.offset + 1)
            tally.recall(head, facts)
        return None
