"""What one message of `pixeltally.hits` or `pixeltally.facts` holds, and what becomes of lines that are no hits."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from pixeltally.hit import Dead, Fact, Hit
from pixeltally.identity import hit_id
from streams import columns, lines, sign
from streams.columns import HEIGHT, KINDS, Lines
from streams.compiled import PADDING, Array
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


@dataclass
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
        self.lines.keep(kept)
        self.enriched.keep(kept)


def parse(
    enricher: Enricher, topic: str, partition: int, offset: int, arrived: int, value: bytes
) -> tuple[Batch, list[Dead]]:
    """A message's hits, and its lines that are none, as dead letters."""

    def decode(line: bytes) -> Hit | None:
        try:
            hit = _hit(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return hit if is_sensible(hit, line, arrived) else None

    read, bad = _read(value, decode, latest_ms(arrived))
    good = np.ones(len(read), bool)
    good[bad] = False
    starts = read.columns[columns.START]
    read.keep(good)
    enriched = enricher.look_up(read)
    wrong = enriched.signs & sign.BAD_ADDRESS != 0
    if wrong.any():
        bad = sorted([*bad, *np.flatnonzero(good)[wrong].tolist()])
        read.keep(~wrong)
        enriched.keep(~wrong)
    origin = f"{topic}/{partition}@{offset}"
    dead = [_dead(f"{origin}#{number}", arrived, _line(value, int(starts[number]))) for number in bad]
    return Batch(offset, arrived, read, enriched), dead


def parse_facts(value: bytes) -> Lines:
    """A message of facts, each of which was given out by a worker."""
    return _read(value, _fact, 1 << 62)[0]


def _read(value: bytes, decode: Callable[[bytes], Hit | None], latest_ms: int) -> tuple[Lines, list[int]]:
    """The lines of a message, and which of them are no hits."""
    text = np.frombuffer(value + PADDING, np.uint8)
    table = np.zeros((HEIGHT, lines.count(text, len(value))), np.int64)
    count, unread = lines.read(text, len(value), latest_ms, table)
    read = Lines(text, table if count == table.shape[1] else np.ascontiguousarray(table[:, :count]), {})
    if not _is_utf8(value):
        read.columns[columns.END] = 0
    elif not unread:
        return read, []
    more, bad = bytearray(), []
    for index in np.flatnonzero(read.columns[columns.END] == 0).tolist():
        line = _line(value, int(read.columns[columns.START, index]))
        hit = decode(line)
        if hit is None:
            bad.append(index)
        else:
            read.hits[index] = hit
            start, end = int(read.columns[columns.START, index]), len(text) + len(more)
            read.columns[:, index], texts = _column(hit, start, len(line.rstrip()) - 1, end)
            more += texts
    if more:
        read.text = np.frombuffer(b"".join([value, PADDING, bytes(more), PADDING]), np.uint8)
    return read, bad


def _column(hit: Hit, start: int, brace: int, end: int) -> tuple[list[int], bytes]:
    """What was decoded, of a line whose brace stands that far behind its start; and its texts, to stand at `end`."""
    column = [0] * HEIGHT
    high, low = divmod(int(hit.id.replace("-", ""), 16), 1 << 64)
    column[columns.VISITOR], column[columns.ID_HIGH], column[columns.ID_LOW] = map(_signed, (hit.visitor, high, low))
    column[columns.START], column[columns.END] = start, start + brace
    column[columns.TIME], column[columns.SEQ], column[columns.KIND] = hit.ts, hit.seq, KINDS.index(hit.kind)
    column[columns.DUPLICATE] = isinstance(hit, Fact) and hit.duplicate
    texts = b""
    for row, name in _TEXTS.items():
        column[row] = end + len(texts)
        texts += getattr(hit, name, "").encode("utf-8", "surrogatepass")
        column[row + 1] = end + len(texts)
    return column, texts


def _signed(bits: int) -> int:
    """64 bits as columns hold them."""
    return bits - (1 << 64) if bits >> 63 else bits


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line(value: bytes, start: int) -> bytes:
    end = value.find(b"\n", start)
    return value[start:] if end < 0 else value[start:end]


def _dead(place: str, arrived: int, line: bytes) -> Dead:
    return Dead(hit_id(0, place, 0), arrived, "not-a-hit", place, line[:MOST_BYTES].decode("utf-8", "replace"))
