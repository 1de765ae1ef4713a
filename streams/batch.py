"""What one message of `pixeltally.hits` holds, and what becomes of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pixeltally.hit import Dead, Hit
from pixeltally.identity import hit_id

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
    dead: list[Dead] = []
    try:
        hits = _decode_lines(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        lines, hits, dead = _line_by_line(f"{topic}/{partition}@{offset}", arrived, lines)
    return Batch(partition, offset, arrived, lines, hits), dead


def _line_by_line(origin: str, arrived: int, lines: list[bytes]) -> tuple[list[bytes], list[Hit], list[Dead]]:
    good: list[bytes] = []
    hits: list[Hit] = []
    dead: list[Dead] = []
    for number, line in enumerate(lines):
        try:
            hits.append(_decode(line))
            good.append(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            place = f"{origin}#{number}"
            text = line.decode("utf-8", "replace")
            dead.append(Dead(hit_id(0, place, 0), arrived, "not-a-hit", place, text))
    return good, hits, dead
