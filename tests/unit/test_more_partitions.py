"""A new partition takes up what its parent knew, also of hits that nobody had counted when it was made."""

import json
import uuid
from collections import defaultdict

import msgspec

from pixeltally.partition import key, partitions
from pixeltally.settings import Settings
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.restore import _Restoring

START_MS = 1_764_000_000_000
ENRICHER = Enricher(Settings.from_env({}))
RULES = Rules(duplicate_window_ms=60_000, attribution_window_ms=60_000, lateness_ms=60_000)


class Topics:
    """Hits and facts by partition; reads as `streams.facts_topic.Reader` does."""

    def __init__(self, count):
        self.count = count
        self._hits, self._facts, self._seq = defaultdict(list), defaultdict(list), 0

    def come(self, visitors, arrived):
        """A hit of each visitor, a message each, to its partition."""
        for visitor in visitors:
            self._seq += 1
            hit = {
                "id": str(uuid.UUID(int=self._seq)), "ts": START_MS, "kind": "impression", "advertiser": "acme",
                "campaign": "spring", "visitor": visitor, "node": "n", "seq": self._seq,
            }  # fmt: skip
            (place,) = partitions([key("acme", "spring", visitor)], self.count)
            self._hits[place].append((arrived(place), json.dumps(hit).encode()))

    def work(self, partition):
        """What a worker does that is given a partition; how many hits were duplicates."""
        tally, duplicates = _Restoring(self, RULES, ENRICHER).restore(partition), 0
        for message in self.hits(partition, tally.head.offset + 1, len(self._hits[partition])):
            [(batch, _)] = parse(ENRICHER, [message])
            applied = tally.apply(batch)
            assert applied.hits == 1, "none was here before"
            duplicates += applied.duplicates
            self._facts[partition].append((message.arrived, msgspec.json.encode(tally.head), applied.facts))
        return duplicates

    def partitions(self, _topic):
        return self.count

    def bounds(self, topic, partition):
        return 0, len((self._hits if topic == "pixeltally.hits" else self._facts)[partition])

    def since(self, partition, start_ms, end):
        return next(number for number in range(end) if self._facts[partition][number][0] >= start_ms)

    def head(self, partition, offset):
        return msgspec.json.decode(self._facts[partition][offset][1], type=Head)

    def facts(self, partition, start, end):
        for offset in range(start, end):
            yield offset, self.head(partition, offset), self._facts[partition][offset][2]

    def hits(self, partition, start, end):
        for offset in range(start, end):
            yield Message(partition, offset, *self._hits[partition][offset])


def test_a_new_partition_is_counted_before_its_parent_has_caught_up():
    topics, visitors = Topics(2), range(1, 61)
    topics.come(visitors, lambda _: START_MS)
    assert [topics.work(partition) for partition in (0, 1)] == [0, 0]
    topics.come(visitors, lambda _: START_MS + 1000)  # nobody counts these yet
    topics.count = 6
    topics.come(visitors, lambda partition: START_MS + 2000 + 100 * (partition > 1))  # those that moved come later
    assert sum(topics.work(partition) for partition in (5, 2, 0, 4, 3, 1)) == 2 * len(visitors)
