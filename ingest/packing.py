"""Turns the spool's lines into Kafka's messages: judged, given their partition, many lines to a message. No I/O."""

import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from ingest.reading import Uncountable, reader
from ingest.recorder import MAX_CHARS
from ingest.redaction import redactor
from ingest.request import Request, decode
from pixeltally import metrics, packed, topics
from pixeltally.hit import Dead, Hit
from pixeltally.identity import hit_id
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings

#: What can't be read at all is kept in a dead letter up to so many bytes.
_DEAD_LINE_BYTES = 64 * 1024

Message = tuple[str, int, bytes]  #: topic, partition, value
Lines = Sequence[tuple[int, bytes]]  #: (seq, line)


def packer(settings: Settings, partition_count: int) -> Callable[[str, Lines], Iterator[Message]]:
    """A function that gives the messages of (node, lines), each partition's in the lines' order."""
    judge, redact = judgement(settings), redactor(settings)

    def pack(node: str, lines: Lines) -> Iterator[Message]:
        hits: list[Hit] = []
        dead: list[Dead] = []
        for seq, line in lines:
            try:
                hit = judge(line, node, seq)
                if hit is not None:
                    hits.append(hit)
            except Uncountable as reason:
                dead.append(dead_letter(node, seq, redact(line[:_DEAD_LINE_BYTES]), str(reason)))
        metrics.SHIPPED.inc(len(hits))
        yield from messages(hits, partition_count)
        yield from letters(dead)

    return pack


def judgement(settings: Settings) -> Callable[[bytes, str, int], Hit | None]:
    """A function that reads (the spool's line, node, seq) as a hit, or raises :class:`Uncountable`.

    None stands for a request that is answered and not counted: HEAD.
    """
    read = reader(settings)

    def judge(line: bytes, node: str, seq: int) -> Hit | None:
        request = read_request(line)
        return read(request, node, seq) if request.method == "GET" else None

    return judge


def messages(hits: Sequence[Hit], partition_count: int) -> Iterator[Message]:
    """The messages of hits, each partition's in their order."""
    by_partition: dict[int, list[Hit]] = {}
    keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
    for hit, partition in zip(hits, partitions(keys, partition_count), strict=True):
        by_partition.setdefault(partition, []).append(hit)
    for partition, its in by_partition.items():
        yield from ((topics.HITS, partition, value) for value in packed.values(its))


def letters(dead: Sequence[Dead]) -> Iterator[Message]:
    """The messages of dead letters."""
    yield from ((topics.DEAD, 0, value) for value in packed.values(dead))


def read_request(line: bytes) -> Request:
    """A line of the spool as the request that it is, its texts cut; raises :class:`Uncountable`."""
    try:
        found = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            # nginx keeps a header's bytes as they came.
            found = decode(line.decode("utf-8", "replace"))
        except msgspec.DecodeError:
            raise Uncountable("unreadable-line") from None
    return found if len(line) <= MAX_CHARS else _cut(found)


def _cut(found: Request) -> Request:
    """The request with its texts as short as the web workers keep them."""
    long = {name: value for name, value in msgspec.structs.asdict(found).items() if isinstance(value, str)}
    return msgspec.structs.replace(found, **{name: value[:MAX_CHARS] for name, value in long.items()})


def dead_letter(node: str, seq: int, line: str, reason: str) -> Dead:
    """The dead letter of a line that can't be counted."""
    metrics.DEAD.labels(reason).inc()
    now = time.time_ns() // 1_000_000
    return Dead(hit_id(0, node, seq), now, reason, f"spool {node}@{seq}", line)
