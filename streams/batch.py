"""What one message of `pixeltally.hits` or `pixeltally.facts` holds, and what becomes of lines that are no hits."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np

from pixeltally import topics
from pixeltally.compiled import PADDING, Array, signed
from pixeltally.hit import Dead, Fact, Hit
from pixeltally.identity import hit_id
from streams import columns, lines, sign
from streams.columns import HEIGHT, KINDS, Lines
from streams.enrich import Enriched, Enricher
from streams.sense import MOST_BYTES, is_sensible, latest_ms

_hit = msgspec.json.Decoder(Hit).decode
_fact = msgspec.json.Decoder(Fact).decode

#: Texts of a hit that columns point to.
_TEXTS = {
    columns.ADVERTISER: "advertiser",
    columns.CAMPAIGN: "campaign",
    columns.CREATIVE: "creative",
    columns.PLACEMENT: "placement",
    columns.NODE: "node",
    columns.IP: "ip",
    columns.USER_AGENT: "user_agent",
    columns.PURPOSE: "purpose",
    columns.VERDICT: "verdict",
}


#: Messages are read together up to so many bytes: what a call costs, they share.
TOGETHER_BYTES = 128 * 1024


class Message(NamedTuple):
    """A message of `pixeltally.hits`."""

    partition: int
    offset: int
    arrived: int  #: when a broker took it first, epoch milliseconds
    value: bytes
    restored: bytes = b""  #: what `pixeltally restore` says of its arrival

    @classmethod
    def of(cls, partition: int, offset: int, taken_ms: int, headers: Mapping[str, bytes], value: bytes) -> "Message":
        """One that the broker took at `taken_ms`; what was restored from the archive had arrived before."""
        restored = headers.get(topics.RESTORED, b"")
        return cls(partition, offset, int(restored) if restored else taken_ms, value, restored)


@dataclass(slots=True)
class Batch:
    """A message's hits, and what they say by themselves."""

    offset: int
    arrived: int  #: when the broker took it, epoch milliseconds
    lines: Lines
    enriched: Enriched

    def __len__(self) -> int:
        return len(self.lines)

    def keep(self, kept: Array) -> None:
        """Drop the hits that `kept` says no to."""
        self.lines = self.lines.kept(kept)
        self.enriched = self.enriched.kept(kept)


def together(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The messages in groups that are best read together."""
    first, size = 0, 0
    for number, message in enumerate(messages):
        if number > first and size + len(message.value) > TOGETHER_BYTES:
            yield messages[first:number]
            first, size = number, 0
        size += len(message.value)
    if messages:
        yield messages[first:]


def parse(enricher: Enricher, messages: Sequence[Message]) -> list[tuple[Batch, list[Dead]]]:
    """Each message's hits, and its lines that are none, as dead letters."""
    starts = list(accumulate((len(message.value) + 1 for message in messages), initial=0))

    def decode(line: bytes, start: int) -> Hit | None:
        try:
            hit = _hit(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return hit if is_sensible(hit, line, messages[bisect_right(starts, start) - 1].arrived) else None

    latest = latest_ms(min(message.arrived for message in messages))
    read = _read([message.value for message in messages], _hit, decode, latest)
    enriched = enricher.look_up(read)
    good = (read.columns[columns.END] != 0) & (enriched.signs & sign.BAD_ADDRESS == 0)
    all_good = bool(good.all())
    firsts = np.searchsorted(read.columns[columns.START], starts).tolist()
    parsed = []
    for message, start, first, end in zip(messages, starts, firsts, firsts[1:], strict=False):
        batch = Batch(message.offset, message.arrived, read.part(first, end), enriched.part(first, end))
        dead = [] if all_good else _dead(message, start, batch.lines, np.flatnonzero(~good[first:end]).tolist())
        if dead:
            batch.keep(good[first:end])
        parsed.append((batch, dead))
    return parsed


def parse_facts(value: bytes) -> Lines:
    """A message of facts, each of which was given out by a worker."""
    return _read([value], _fact, lambda line, _: _fact(line), 1 << 62)


def _read(
    values: Sequence[bytes],
    action: Callable[[bytes], Hit],
    other: Callable[[bytes, int], Hit | None],
    latest_ms: int,
) -> Lines:
    """The lines of messages. `action` decodes clicks and conversions; `other` those that aren't read in columns.

    `other` is told where a line starts, too. What is no hit has its `END` at zero.
    """
    value = b"\n".join([*values, PADDING])
    text, end = np.frombuffer(value, np.uint8), len(value) - len(PADDING) - 1
    table = np.zeros((HEIGHT, lines.count(text, end)), np.int64)
    count, unread = lines.read(text, end, latest_ms, table)
    read = Lines(text, table if count == table.shape[1] else np.ascontiguousarray(table[:, :count]), {})
    if not _is_utf8(value):
        read.columns[columns.END], unread = 0, count
    for index in np.flatnonzero(read.columns[columns.KIND] >= columns.CLICK).tolist():
        if read.columns[columns.END, index]:
            read.hits[index] = action(read.line(index))
    if unread:
        _read_others(read, value, other)
    return read


def _read_others(read: Lines, value: bytes, other: Callable[[bytes, int], Hit | None]) -> None:
    """Read the lines that weren't."""
    more = bytearray()
    for index in np.flatnonzero(read.columns[columns.END] == 0).tolist():
        start = int(read.columns[columns.START, index])
        line = _line(value, start)
        hit = other(line, start)
        read.columns[1:, index] = 0
        if hit is not None:
            read.hits[index] = hit
            read.columns[:, index], texts = _column(hit, start, len(line.rstrip()) - 1, len(value) + len(more))
            more += texts
    read.hits = dict(sorted(read.hits.items()))
    if more:
        read.text = np.frombuffer(b"".join([value, bytes(more), PADDING]), np.uint8)


def _column(hit: Hit, start: int, brace: int, end: int) -> tuple[list[int], bytes]:
    """What was decoded, of a line whose brace stands that far behind its start; and its texts, to stand at `end`."""
    column = [0] * HEIGHT
    high, low = divmod(int(hit.id.replace("-", ""), 16), 1 << 64)
    column[columns.VISITOR], column[columns.ID_HIGH], column[columns.ID_LOW] = map(signed, (hit.visitor, high, low))
    column[columns.START], column[columns.END] = start, start + brace
    column[columns.TIME], column[columns.SEQ], column[columns.KIND] = hit.ts, hit.seq, KINDS.index(hit.kind)
    column[columns.DUPLICATE] = isinstance(hit, Fact) and hit.duplicate
    texts = b""
    for row, name in _TEXTS.items():
        column[row] = end + len(texts)
        texts += getattr(hit, name, "").encode("utf-8", "surrogatepass")
        column[row + 1] = end + len(texts)
    return column, texts


def _is_utf8(value: bytes) -> bool:
    try:
        return value.isascii() or bool(value.decode())
    except UnicodeDecodeError:
        return False


def _line(value: bytes, start: int) -> bytes:
    end = value.find(b"\n", start)
    return value[start:] if end < 0 else value[start:end]


def _dead(message: Message, start: int, lines: Lines, indexes: list[int]) -> list[Dead]:
    """Dead letters of these lines of a message, which starts there in what they were read from."""
    dead = []
    for index in indexes:
        place = f"{topics.HITS}/{message.partition}@{message.offset}#{index}"
        line = _line(message.value, int(lines.columns[columns.START, index]) - start)
        text = line[:MOST_BYTES].decode("utf-8", "replace")
        dead.append(Dead(hit_id(0, place, 0), message.arrived, "not-a-hit", place, text))
    return dead
