"""What one message of `pixeltally.hits` holds, and what becomes of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pixeltally.hit import Dead, Hit
from pixeltally.identity import hit_id
from streams.sense import MOST_BYTES, senseless

_decode = msgspec.json.Decoder(Hit).decode
_decode_lines = msgspec.json.Decoder(Hit).decode_lines


@dataclass
class Batch:
    """A message's hits: line `n` of `lines` is `hits[n]`."""

    partition: int
    offset: int
    arrived: int  #: when the broker took it, epoch milliseconds
    lines: list[bytes]
    hits: list[Hit]

    def keep(self, kept: Sequence[bool]) -> None:
        """Drop the lines that `kept` says no to."""
        if not all(kept):
            self.lines = [line for line, keep in zip(self.lines, kept, strict=True) if keep]
            self.hits = [hit for hit, keep in zip(self.hits, kept, strict=True) if keep]


def parse(topic: str, partition: int, offset: int, arrived: int, value: bytes) -> tuple[Batch, list[Dead]]:
    """A message's hits, and its lines that are none, as dead letters."""
    lines = [line for line in value.split(b"\n") if line]
    try:
        hits: list[Hit | None] = [*_decode_lines(value)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        hits = [_hit(line) for line in lines]
    read = [hit for hit in hits if hit is not None]
    of_read = [line for line, hit in zip(lines, hits, strict=True) if hit is not None]
    bad = {id(read[index]) for index in senseless(read, of_read, arrived)}
    if len(read) == len(lines) and not bad:
        return Batch(partition, offset, arrived, lines, read), []
    good = [hit is not None and id(hit) not in bad for hit in hits]
    origin = f"{topic}/{partition}@{offset}"
    dead = [_dead(f"{origin}#{number}", arrived, line) for number, line in enumerate(lines) if not good[number]]
    kept = [(line, hit) for line, hit, is_good in zip(lines, hits, good, strict=True) if hit and is_good]
    return Batch(partition, offset, arrived, [line for line, _ in kept], [hit for _, hit in kept]), dead


def _hit(line: bytes) -> Hit | None:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _dead(place: str, arrived: int, line: bytes) -> Dead:
    return Dead(hit_id(0, place, 0), arrived, "not-a-hit", place, line[:MOST_BYTES].decode("utf-8", "replace"))
