"""Turns the spool's lines into Kafka's messages: judged, given their partition, many lines to a message. No I/O."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ingest.reading import Uncountable, reader
from ingest.recorder import MAX_CHARS
from ingest.redaction import redactor
from ingest.request import Request, decode
from pixeltally import metrics, topics
from pixeltally.hit import Dead, Hit
from pixeltally.identity import hit_id
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings

#: A message holds at most so many lines and bytes.
MESSAGE_LINES = 1000
MESSAGE_BYTES = 512 * 1024

#: What can't be read at all is kept in a dead letter up to so many bytes.
_DEAD_LINE_BYTES = 64 * 1024

Message = tuple[str, int, bytes]  #: topic, partition, value
Lines = Sequence[tuple[int, bytes]]  #: (seq, line)

_encode = msgspec.json.Encoder().encode


def packer(settings: Settings, partition_count: int) -> Callable[[str, Lines], Iterator[Message]]:
    """A function that gives the messages of (node, lines), each partition's in the lines' order."""
    read, redact = reader(settings), redactor(settings)

    def pack(node: str, lines: Lines) -> Iterator[Message]:
        hits: list[Hit] = []
        dead: list[Dead] = []
        for seq, line in lines:
            try:
                request = _request(line)
                if request.method == "GET":
                    hits.append(read(request, node, seq))
            except Uncountable as reason:
                dead.append(_dead_letter(node, seq, redact(line[:_DEAD_LINE_BYTES]), str(reason)))
        metrics.SHIPPED.inc(len(hits))
        for partition, encoded in _by_partition(hits, partition_count):
            yield from ((topics.HITS, partition, value) for value in _messages(encoded))
        yield from ((topics.DEAD, 0, value) for value in _messages(map(_encode, dead)))

    return pack


def _request(line: bytes) -> Request:
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


def _dead_letter(node: str, seq: int, line: str, reason: str) -> Dead:
    metrics.DEAD.labels(reason).inc()
    now = time.time_ns() // 1_000_000
    return Dead(hit_id(0, node, seq), now, reason, f"spool {node}@{seq}", line)


def _by_partition(hits: list[Hit], count: int) -> Iterable[tuple[int, list[bytes]]]:
    found: dict[int, list[bytes]] = {}
    keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
    for hit, partition in zip(hits, partitions(keys, count), strict=True):
        found.setdefault(partition, []).append(_encode(hit))
    return found.items()


def _messages(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == MESSAGE_LINES or size + len(line) >= MESSAGE_BYTES):
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield b"\n".join(batch)
