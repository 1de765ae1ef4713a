"""Counts the lines of a segment: how many requests of which minute stand in it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ingest.request import Request, decode

PIECE_BYTES = 1 << 20

#: What stands in an account for lines whose time can't be read.
UNKNOWN = 0

#: No request was answered later than this, epoch seconds.
_MOST_S = 1 << 32


_decode_lines = msgspec.json.Decoder(Request).decode_lines


class Count:
    """A segment's lines by minute."""

    def __init__(self, answered_to: int) -> None:
        """`answered_to`: what stands behind this offset was never answered."""
        self.minutes: Counter[int] = Counter()
        self.unanswered: Counter[int] = Counter()
        self.other_methods = 0
        self.first = self.last = 0  #: epoch milliseconds; 0: of none
        self._answered_to = answered_to

    def add(self, offset: int, lines: bytes) -> None:
        """Count in whole lines that begin at an offset of the segment."""
        if offset < self._answered_to < offset + len(lines):
            cut = self._answered_to - offset
            self.add(offset, lines[:cut])
            self.add(self._answered_to, lines[cut:])
            return
        read = _read(lines)
        gets = [line for line in read if line is None or line.method == "GET"]
        times = [line.time for line in read if line is not None]
        if times:
            first, last = round(min(times) * 1000), round(max(times) * 1000)
            self.first, self.last = min(self.first or first, first), max(self.last, last)
        if len(times) == len(gets) == len(read) and times and _minute(min(times)) == _minute(max(times)):
            found = Counter({_minute(times[0]): len(times)})
        else:
            found = Counter(UNKNOWN if line is None else _minute(line.time) for line in gets)
        self.other_methods += len(read) - len(gets)
        self.minutes += found
        if offset >= self._answered_to:
            self.unanswered += found


def _minute(time_s: float) -> int:
    return round(time_s * 1000) // 60_000 * 60 if 0 < time_s < _MOST_S else UNKNOWN


def _read(lines: bytes) -> list[Request | None]:
    try:
        found: list[Request | None] = [*_decode_lines(lines)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = [_read_one(line) for line in lines.split(b"\n") if line]
    return found


def _read_one(line: bytes) -> Request | None:
    try:
        return decode(line.decode("utf-8", "replace"))
    except msgspec.DecodeError:
        return None


def pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """A file in pieces of whole lines, each with its offset; the last may lack its newline."""
    with path.open("rb") as file:
        offset, rest = 0, b""
        while data := file.read(PIECE_BYTES):
            data = rest + data
            end = data.rfind(b"\n") + 1
            if end:
                yield offset, data[:end]
            rest = data[end:]
            offset += end
        if rest:
            yield offset, rest


def counted(count: Count, found: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """The pieces, each counted as it passes."""
    for offset, lines in found:
        count.add(offset, lines)
        yield offset, lines
