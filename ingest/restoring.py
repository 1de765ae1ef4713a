"""Restores from the archive: sends all requests through the pipeline again, in the order in which they were counted.

Each message is made of the same hits as it was then and says when the broker took it, so streams find what they found.
What no order was archived of (the last seconds before everything was lost) follows as if it were new. Doing it again
changes nothing: hits keep their ids and places.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from ingest import packing
from ingest.archived import Requests
from ingest.reading import Uncountable
from ingest.redaction import redactor
from ingest.sending import Sender, partition_count
from pixeltally import archive, topics
from pixeltally.archive import ORDER, Message
from pixeltally.arrival import follow, settle
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.hit import Dead, Hit
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings

_COUNT = "SELECT count() FROM facts FINAL WHERE node IN %(nodes)s"

#: Lines that are judged at a time.
_AT_A_TIME = 5000

_decode_message = msgspec.json.Decoder(Message).decode
_decode_hit = msgspec.json.Decoder(Hit).decode
_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass
class Restored:
    """What was done."""

    hits: int = 0
    letters: int = 0  #: requests that can't be counted
    unordered: int = 0  #: of the hits, those that no order was archived of
    gone: int = 0  #: hits whose order is archived and whose request is not, or no more
    otherwise: int = 0  #: requests that were hits and can't be counted by today's settings
    skipped: int = 0  #: requests that stand before counted ones, and in no order: streams would take them for known
    there: int = 0  #: hits of these nodes that ClickHouse has in the end
    nodes: set[str] = field(default_factory=set)


class Step(NamedTuple):
    """A message that was counted: sorted as time went."""

    arrived: int
    partition: int
    offset: int
    message: Message


def restore(settings: Settings) -> Restored:
    """Send what the archive holds, and wait until ClickHouse has it. Raises OSError where it can't be read."""
    return _Restore(settings).run()


class _Restore:
    def __init__(self, settings: Settings) -> None:
        if not settings.archive or not Path(settings.archive).is_dir():
            raise Refused("there is no archive: name its folder by PIXELTALLY_ARCHIVE.")
        self._settings = settings
        self._root = Path(settings.archive)
        self._requests = Requests(self._root)
        self._client = reach(settings)
        self._partitions = partition_count(settings)
        self._sender = Sender(settings)
        self._judge, self._redact = packing.judgement(settings), redactor(settings)
        self._done: dict[tuple[int, str], int] = {}  #: (partition, node) → the highest `seq` in order
        self._restored = Restored()

    def run(self) -> Restored:
        restored = self._restored
        settle(self._settings)  # what is on its way was before
        for step in heapq.merge(*map(self._steps, archive.logs(self._root, ORDER))):
            self._send(step)
        for node in self._requests.nodes:
            self._send_rest(node)
        self._sender.finish()
        follow(self._settings, self._count)
        restored.there = self._count()
        return restored

    def _count(self) -> int:
        nodes = tuple(sorted(self._restored.nodes)) or ("",)
        return int(self._client.query(_COUNT, {"nodes": nodes}).result_rows[0][0])

    def _steps(self, name: str) -> Iterator[Step]:
        """A partition's messages in their order."""
        partition = int(name.rpartition("-")[2])
        if partition >= self._partitions:
            raise Refused(
                f"the archive was counted in more than Kafka's {self._partitions} partitions: begin with an empty Kafka"
                f" and PIXELTALLY_PARTITIONS={partition + 1} or more, as it was then."
            )
        for entry, _ in archive.entries(self._root, name):
            rest = b""
            for piece in archive.pieces(self._root, entry):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    message = _decode_message(line)
                    yield Step(message.arrived, partition, message.offset, message)

    def _send(self, step: Step) -> None:
        hits = [hit for hit in self._hits(step) if hit is not None]
        if hits:
            value = _encode_lines(hits)[:-1]
            self._sender.send((topics.HITS, step.partition, value), headers={topics.RESTORED: b"%d" % step.arrived})
        self._restored.hits += len(hits)
        self._restored.nodes |= {hit.node for hit in hits}

    def _hits(self, step: Step) -> Iterator[Hit | None]:
        number = 0
        for node, deltas in step.message.hits:
            for seq in accumulate(deltas):
                kept = step.message.lines.get(str(number))
                yield _decode_hit(kept) if kept is not None else self._hit(node, seq)
                number += 1
                self._done[step.partition, node] = seq

    def _hit(self, node: str, seq: int) -> Hit | None:
        line = self._requests.line(node, seq)
        if line is None:
            self._restored.gone += 1
            return None
        try:
            hit = self._judge(line, node, seq)
        except Uncountable:
            hit = None
        self._restored.otherwise += hit is None
        self._restored.skipped -= hit is not None
        return hit

    def _send_rest(self, node: str) -> None:
        """A node's accounts, its dead letters, and its hits that no order was archived of."""
        for entry in self._requests.entries(node):
            if entry.account is not None:
                self._sender.send((topics.SEGMENTS, 0, msgspec.json.encode(entry.account)))
            try:
                lines = [*self._requests.lines(entry)]
            except FileNotFoundError:
                continue  # expired
            for start in range(0, len(lines), _AT_A_TIME):
                self._send_lines(node, lines[start : start + _AT_A_TIME])

    def _send_lines(self, node: str, lines: list[tuple[int, bytes]]) -> None:
        hits: list[Hit] = []
        dead: list[Dead] = []
        for seq, line in lines:
            try:
                hit = self._judge(line, node, seq)
            except Uncountable as reason:
                dead.append(packing.dead_letter(node, seq, self._redact(line), str(reason)))
            else:
                hits += [hit] if hit is not None else []
        keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
        places = partitions(keys, self._partitions) if keys else []
        new = [hit for hit, place in zip(hits, places, strict=True) if hit.seq > self._done.get((place, node), -1)]
        for message in [*packing.messages(new, self._partitions), *packing.letters(dead)]:
            self._sender.send(message)
        self._restored.hits += len(new)
        self._restored.unordered += len(new)
        self._restored.skipped += len(hits) - len(new)
        self._restored.letters += len(dead)
        self._restored.nodes |= {node} if new else set()
