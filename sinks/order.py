"""Archives in which order hits were counted, and as what: read from `pixeltally.facts`, a log for each partition.

Which of two requests is the duplicate, or whether a click's impression was known, depends on what came first. So who
counts the archived requests again, or restores them, needs their order. A log is its own position: after a crash it is
gone on with where its last entry ended.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from pixeltally import lost_brokers, topics
from pixeltally.archive import ORDER, Message, Times
from pixeltally.archive_log import Log, Taken
from pixeltally.hit import IMPORTED, PUT_BACK, VALID
from pixeltally.settings import Settings
from sinks.looking import TIMEOUT_S, looker

log = logging.getLogger("archive")

#: How often what has been counted is archived.
EVERY_S = 30.0

#: A block holds at most about so many hits.
MOST_HITS = 500_000

_encode = msgspec.json.Encoder().encode


class _Fact(msgspec.Struct, gc=False):
    node: str
    seq: int
    ts: int
    verdict: str
    duplicate: bool = False


class _Head(msgspec.Struct):
    offset: int
    arrived: int
    corrections: int = 0


_decode_facts = msgspec.json.Decoder(_Fact).decode_lines
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode_lines
_decode_head = msgspec.json.Decoder(_Head).decode


class Order:
    """A thread that archives the order for as long as the context lasts."""

    def __init__(self, settings: Settings) -> None:
        self._root = Path(settings.archive)
        self._positions: dict[str, int] = {}  #: of logs: what lies before has been looked at
        self._consumer = looker(settings)
        self._look = lost_brokers.Look(settings, self._consumer)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="order", daemon=True)

    def __enter__(self) -> "Order":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def keep(self) -> None:
        """Archive what has been counted since. Raises OSError and KafkaException."""
        held = self._consumer.list_topics(topics.FACTS, timeout=TIMEOUT_S)
        for partition in held.topics[topics.FACTS].partitions:
            self._keep(f"{ORDER}/{held.cluster_id}-{partition}", partition)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(EVERY_S)
            self._look.end_if_lost()
            try:
                self.keep()
            except Taken:
                continue  # another sink sees to it
            except (OSError, KafkaException) as error:
                log.warning("the order of hits can't be archived, trying again in %.0f s: %s", EVERY_S, error)

    def _keep(self, name: str, partition: int) -> None:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topics.FACTS, partition), timeout=TIMEOUT_S)
        its = Log(self._root, name)
        try:
            after = its.last.number if its.last else 0
            start = max(self._positions.get(name, after), low)
            if after > high:
                log.error("%s goes further than Kafka's facts: was Kafka emptied? Then move that folder away", name)
            if after < low and its.last:
                log.warning("%s: what was counted before offset %d of facts is gone from Kafka unarchived", name, low)
            for run in _runs(
                topics.read(self._consumer, TopicPartition(topics.FACTS, partition, start), high),
                its.last.counted_to if its.last else -1,
            ):
                run.enter(its)
            self._positions[name] = max(start, high)
        finally:
            its.close()


class _Run:
    """Messages that were counted by the same settings, on their way into a block."""

    def __init__(self, counted_by: bytes, messages: Iterable[tuple[int, Message, list[_Fact]]]) -> None:
        self._settings = msgspec.json.decode(counted_by, type=dict[str, str])
        self._messages = messages
        self._next = 0
        self._bounds = {"counted_to": -1, "arrived_first": 0, "arrived_last": 0}
        self._times, self._asked = Times(), Times()

    def enter(self, its: Log) -> None:
        """Add them to the log."""
        block = its.add(self._lines())
        if self._next:
            asked = {"asked_first": self._asked.first, "asked_last": self._asked.last}
            times = {"first": self._times.first, "last": self._times.last}
            its.enter(self._next, block, settings=self._settings, **self._bounds, **times, **asked)

    def _lines(self) -> Iterator[bytes]:
        for offset, message, facts in self._messages:
            self._next = offset + 1
            self._bounds["counted_to"] = message.offset
            self._bounds["arrived_first"] = self._bounds["arrived_first"] or message.arrived
            self._bounds["arrived_last"] = message.arrived
            self._times.add(fact.ts for fact in facts)
            self._asked.add(fact.ts for fact in facts if not _is_bare(fact))
            yield _encode(message) + b"\n"


def _runs(messages: Iterable[KafkaMessage], counted_to: int) -> Iterator[_Run]:
    """What is to be archived of messages of facts, block by block; each must be entered before the next is asked for.

    `counted_to`: the hits' offset up to which they have been archived. What a worker told again after a crash says
    the same, and what was restored from the archive is there.
    """
    hits, newest = 0, counted_to

    def block_of(message: KafkaMessage) -> tuple[bytes, int]:
        return _headers(message)[topics.COUNTED_BY], hits // MOST_HITS

    def fresh() -> Iterator[KafkaMessage]:
        nonlocal newest
        for message in messages:
            headers = _headers(message)
            head = _decode_head(headers[topics.HEAD])
            if head.offset > newest and topics.COUNTED_BY in headers and topics.RESTORED not in headers:
                newest = head.offset
                yield message

    def read(of_block: Iterable[KafkaMessage]) -> Iterator[tuple[int, Message, list[_Fact]]]:
        nonlocal hits
        for message in of_block:
            found, facts = message_of(message)
            hits += len(facts)
            if facts:
                yield topics.place(message)[2], found, facts

    for (counted_by, _), of_block in groupby(fresh(), block_of):
        yield _Run(counted_by, read(of_block))


def message_of(message: KafkaMessage) -> tuple[Message, list[_Fact]]:
    """What is archived of a message of facts, and its facts."""
    head, value = _decode_head(_headers(message)[topics.HEAD]), message.value() or b""
    facts = _decode_facts(value)
    facts = facts[: len(facts) - head.corrections]
    invalid: dict[str, list[int]] = {}
    for number, fact in enumerate(facts):
        if fact.verdict != VALID:
            invalid.setdefault(fact.verdict, []).append(number)
    bare = [number for number, fact in enumerate(facts) if _is_bare(fact)]
    raw = _decode_raw(value) if bare else []
    found = Message(
        head.offset,
        head.arrived,
        [(node, _deltas([fact.seq for fact in run])) for node, run in groupby(facts, lambda fact: fact.node)],
        [number for number, fact in enumerate(facts) if fact.duplicate],
        invalid,
        {str(number): raw[number] for number in bare},
    )
    return found, facts


def _is_bare(fact: _Fact) -> bool:
    """Whether it stands in no segment."""
    return fact.node.startswith((IMPORTED, PUT_BACK))


def _deltas(seqs: list[int]) -> list[int]:
    return [seq - before for seq, before in zip(seqs, [0, *seqs], strict=False)]


def _headers(message: KafkaMessage) -> dict[str, Any]:
    return dict(message.headers() or ())
