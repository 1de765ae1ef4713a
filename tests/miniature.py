"""The whole way in one process, without Kafka and ClickHouse: requests in, an archive and their facts out."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec

from ingest import packing, request
from ingest.closing import READ_BY
from ingest.counting import Count
from ingest.reading import Uncountable
from ingest.reduction import is_needed, reducer
from ingest.request import Request
from ingest.spool import place
from pixeltally import topics
from pixeltally.archive import RAW, REDUCED, Times
from pixeltally.archive_log import Log
from pixeltally.hit import Fact
from pixeltally.settings import Settings
from sinks.order import message_of
from streams.batch import Message as Hits
from streams.batch import parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.tally import Tally
from streams.worker import COUNT_BY

PARTITIONS = 2
SEGMENT_LINES = 40

_encode = msgspec.json.encode
_facts = msgspec.json.Decoder(Fact).decode_lines


@dataclass
class Sent:
    """Requests that a node's shipper read at one go."""

    arrived: int  #: epoch milliseconds
    node: str
    requests: Sequence[Request]


class _Message:
    """A message of facts, as Kafka gives it."""

    def __init__(self, head: Head, facts: bytes) -> None:
        self._headers, self._facts = [(topics.HEAD, _encode(head))], facts

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers

    def value(self) -> bytes:
        return self._facts


@cache
def _enricher(settings: Settings) -> Enricher:
    return Enricher(settings)


def enricher(settings: Settings) -> Enricher:
    """The lists, loaded once for all that look at the same ones."""
    return _enricher(replace(settings, data=Path(), archive=""))


def count(root: Path, settings: Settings, sent: Sequence[Sent]) -> list[Fact]:
    """Archive the requests under `root`, count them in this order; their facts."""
    lists, rules = enricher(settings), Rules.of(settings)
    tallies = {number: Tally(number, rules, lists, Head(-1, 0, 0)) for number in range(PARTITIONS)}
    offsets, counted, facts = defaultdict(int), defaultdict(list), {}
    judge, spools = packing.judgement(settings), defaultdict(Spool)
    for each in sent:
        hits = []
        for said in each.requests:
            line = request.encode(said)
            try:
                hits.append(judge(line, each.node, spools[each.node].append(line)))
            except Uncountable:
                continue
        for _, partition, value in packing.messages([hit for hit in hits if hit], PARTITIONS):
            [(batch, _)] = parse(lists, [Hits(partition, offsets[partition], each.arrived, value)])
            offsets[partition] += 1
            told = tallies[partition].apply(batch).facts
            counted[partition].append(_Message(tallies[partition].head, told))
            facts |= {fact.id: fact for fact in _facts(told)}
    for node, spool in spools.items():
        spool.archive(root, node, settings)
    for partition, messages in counted.items():
        _archive_order(root, partition, settings, messages)
    return [*facts.values()]


class Spool:
    """A node's lines."""

    def __init__(self) -> None:
        self._segments: list[list[tuple[int, bytes]]] = [[]]
        self._offset = 0

    def append(self, line: bytes) -> int:
        """Its place."""
        if len(self._segments[-1]) >= SEGMENT_LINES:
            self._segments.append([])
            self._offset = 0
        offset, self._offset = self._offset, self._offset + len(line) + 1
        self._segments[-1].append((offset, line))
        return place(len(self._segments), offset)

    def archive(self, root: Path, node: str, settings: Settings) -> None:
        """Put the lines into the archive."""
        log, reduce = Log(root, f"requests/{node}"), reducer(settings)
        settings_named = {name: settings.text(name) for name in READ_BY}
        for number, lines in enumerate(self._segments, 1):
            kept = [reduce(line, node, place(number, at)) if is_needed(settings) else line for at, line in lines]
            seen = Count(0)
            seen.add(0, b"\n".join(line for _, line in lines) + b"\n")
            block = log.add([b"\n".join(kept) + b"\n"])
            form = REDUCED if is_needed(settings) else RAW
            log.enter(number, block, first=seen.first, last=seen.last, form=form, settings=settings_named)
        log.close()


def _archive_order(root: Path, partition: int, settings: Settings, messages: Sequence[_Message]) -> None:
    log = Log(root, f"order/{time.time_ns()}-{partition}")
    for start in range(0, len(messages), 7):
        its = [message_of(message) for message in messages[start : start + 7]]  # type: ignore[arg-type]
        times = Times()
        times.add(fact.ts for _, facts in its for fact in facts)
        log.enter(
            start + len(its),
            log.add([_encode(message) + b"\n" for message, _ in its]),
            first=times.first,
            last=times.last,
            asked_first=times.first,
            asked_last=times.last,
            arrived_first=its[0][0].arrived,
            arrived_last=its[-1][0].arrived,
            counted_to=its[-1][0].offset,
            settings={name: settings.text(name) for name in COUNT_BY},
        )
    log.close()
