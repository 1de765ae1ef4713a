"""Finds a log's lines, and what stands in those of the combined format, in one compiled loop.

It reads the lines that nearly all are: ASCII, nothing escaped, nothing but the format's own fields, all of them. What
it reads, `ingest.combined` reads the same (a test holds that); what it doesn't is left to that.
"""

from dataclasses import dataclass

import numpy as np

from ingest.recorder import MAX_CHARS
from pixeltally.compiled import PADDING, Array, Number, byte, compiled, inlined
from pixeltally.wide import WIDE, ends_line, ends_plain, first_bit

#: Rows of the matrix, a column a line: where it starts and ends, and the second of its day; -1 where it was not read.
START, END, SECOND = 0, 1, 2

#: Where texts start and end: the address; the day, `10/Oct/2000`, and its zone, `-0700`; `GET /path`; what follows the
#: question mark without the cache-buster; the status; referer and agent.
PEER, DAY, ZONE, ASKED, QUERY, STATUS, REFERER, AGENT = range(3, 19, 2)
_HEIGHT = 19

_SPACE, _QUOTE, _BACKSLASH, _AND, _DASH, _SLASH, _ZERO, _COLON, _QUESTION, _OPEN, _CLOSE = b' "\\&-/0:?[]'
_C, _B, _EQUALS = b"cb="
_HTTP = np.frombuffer(b"HTTP/", np.uint8)

#: Of a query, beyond which nothing of it is left out: `ingest.reading` refuses it.
_MOST_QUERY_CHARS = 4096


@dataclass(slots=True)
class LogLines:
    """Lines, without their ends, of a text that holds them."""

    text: Array
    columns: Array

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @property
    def are_read(self) -> Array:
        """Whether each was."""
        are_read: Array = self.columns[SECOND] >= 0
        return are_read

    def line(self, index: int) -> bytes:
        """One line, as it came."""
        start, end = self.columns[[START, END], index].tolist()
        return self.text[start:end].tobytes()

    def part(self, first: int, end: int) -> "LogLines":
        """The lines from one up to another."""
        if first == 0 and end >= len(self):
            return self
        return LogLines(self.text, np.ascontiguousarray(self.columns[:, first:end]))


def read(block: bytes) -> LogLines:
    """A block's lines, which end with or without a carriage return."""
    lines = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    text = np.frombuffer(lines + PADDING, np.uint8)
    columns = np.zeros((_HEIGHT, lines.count(b"\n") + (lines[-1:] not in (b"\n", b""))), np.int64)
    _read_all(text, len(lines), columns)
    return LogLines(text, columns)


@inlined
def _word_end(text: Array, at: Number) -> Number:
    """Where a word ends: at the first byte that is a space, or can't be in any."""
    while _SPACE < byte(text, at) < 0x7F and byte(text, at) not in (_QUOTE, _BACKSLASH):
        at += 1
    return at


@inlined
def _behind_word(text: Array, at: Number) -> Number:
    """Behind a word and the space that follows it; -1 where none does."""
    at = _word_end(text, at)
    return at + 1 if byte(text, at) == _SPACE else -1


@inlined
def _plain_end(text: Array, at: Number) -> Number:
    """Where a text's quote stands; -1 where what can't be read comes before it."""
    while True:
        ends = ends_plain(text, at)
        if ends:
            break
        at += WIDE
    at += first_bit(ends)
    return at if byte(text, at) == _QUOTE else -1


@inlined
def _two_digits(text: Array, at: Number) -> Number:
    """The number that two digits are; a large one where they are none."""
    tens, ones = byte(text, at) - _ZERO, byte(text, at + 1) - _ZERO
    return 10 * tens + ones if 0 <= tens < 10 and 0 <= ones < 10 else 1000


@inlined
def _second(text: Array, at: Number) -> Number:
    """The second of the day that `13:55:36` is; -1 where it is none."""
    hour, minute, second = _two_digits(text, at), _two_digits(text, at + 3), _two_digits(text, at + 6)
    good = hour < 24 and minute < 60 and second <= 60
    good = good and byte(text, at + 2) == _COLON and byte(text, at + 5) == _COLON
    return hour * 3600 + minute * 60 + second if good else -1


@inlined
def _put(out: Array, field: int, index: int, start: Number, end: Number) -> None:
    out[field, index] = start
    out[field + 1, index] = end


@inlined
def _behind_time(text: Array, at: Number, out: Array, index: int) -> Number:
    """Behind `[10/Oct/2000:13:55:36 -0700] "`."""
    good = byte(text, at) == _OPEN and byte(text, at + 3) == _SLASH and byte(text, at + 7) == _SLASH
    good = good and byte(text, at + 12) == _COLON and byte(text, at + 27) == _CLOSE
    good = good and _behind_word(text, at) == at + 22 and _behind_word(text, at + 22) == at + 29
    if not good or byte(text, at + 29) != _QUOTE:
        return -1
    _put(out, DAY, index, at + 1, at + 12)
    _put(out, ZONE, index, at + 22, at + 27)
    out[SECOND, index] = _second(text, at + 13)
    return at + 30 if out[SECOND, index] >= 0 else -1


@inlined
def _is_buster(text: Array, at: Number) -> bool:
    return bool(byte(text, at) == _C and byte(text, at + 1) == _B and byte(text, at + 2) == _EQUALS)


@inlined
def _put_query(text: Array, start: Number, end: Number, out: Array, index: int) -> None:
    """The query without the cache-buster, where that is its first field or its last: it is another each time.

    The `&` beside it stays, so that as many fields as there were are counted.
    """
    if start < end <= start + _MOST_QUERY_CHARS:
        last = end
        while last > start and byte(text, last - 1) != _AND:
            last -= 1
        if _is_buster(text, last):
            end = last
        elif _is_buster(text, start):
            while byte(text, start) != _AND:
                start += 1
    _put(out, QUERY, index, start, end)


@inlined
def _behind_asked(text: Array, at: Number, out: Array, index: int) -> Number:
    """Behind `GET /path?query HTTP/1.1" `, whose first byte is at `at`."""
    target = _behind_word(text, at)
    if target < 0 or byte(text, target) != _SLASH:
        return -1
    end = path = _word_end(text, target)
    for place in range(target, end):
        if byte(text, place) == _QUESTION:
            path = place
            break
    _put(out, ASKED, index, at, path)
    _put_query(text, min(path + 1, end), end, out, index)
    for number in range(_HTTP.size):
        if byte(text, end + 1 + number) != _HTTP[number]:
            return -1
    quote = _word_end(text, end + 1)
    return quote + 2 if byte(text, end) == _SPACE == byte(text, quote + 1) and byte(text, quote) == _QUOTE else -1


@inlined
def _behind_status(text: Array, at: Number, out: Array, index: int) -> Number:
    """Behind `200 2326 "`."""
    _put(out, STATUS, index, at, at + 3)
    for place in range(at, at + 3):
        if not 0 <= byte(text, place) - _ZERO < 10:
            return -1
    end = at + 4
    while 0 <= byte(text, end) - _ZERO < 10:
        end += 1
    end += end == at + 4 and byte(text, end) == _DASH
    good = end > at + 4 and byte(text, at + 3) == _SPACE == byte(text, end) and byte(text, end + 1) == _QUOTE
    return end + 2 if good else -1


@inlined
def _put_text(text: Array, start: Number, end: Number, out: Array, field: int, index: int) -> None:
    """A header; `-` stands for none."""
    is_none = end - start == 1 and byte(text, start) == _DASH
    _put(out, field, index, start, start if is_none else end)


@inlined
def _behind_texts(text: Array, at: Number, out: Array, index: int) -> Number:
    """Behind `referer" "agent"`, and behind `"-"`, which nginx has more where no proxy was."""
    end = _plain_end(text, at)
    if end < 0 or byte(text, end + 1) != _SPACE or byte(text, end + 2) != _QUOTE:
        return -1
    _put_text(text, at, end, out, REFERER, index)
    at = end + 3
    end = _plain_end(text, at)
    if end < 0:
        return -1
    _put_text(text, at, end, out, AGENT, index)
    at = end + 1
    more = byte(text, at) == _SPACE and byte(text, at + 1) == _QUOTE == byte(text, at + 3)
    return at + 4 if more and byte(text, at + 2) == _DASH else at


@compiled
def _behind_line(text: Array, start: Number, out: Array, index: int) -> Number:
    """Behind a line's last field; -1 where it is not read."""
    at = _behind_word(text, start)
    if at < 0:
        return -1
    _put(out, PEER, index, start, at - 1)
    at = _behind_word(text, at)
    at = _behind_word(text, at) if at > 0 else at
    at = _behind_time(text, at, out, index) if at > 0 else at
    at = _behind_asked(text, at, out, index) if at > 0 else at
    at = _behind_status(text, at, out, index) if at > 0 else at
    return _behind_texts(text, at, out, index) if at > 0 else at


@inlined
def _line_end(text: Array, at: Number, size: int) -> Number:
    while at < size:
        ends = ends_line(text, at)
        if ends:
            return min(at + first_bit(ends), size)
        at += WIDE
    return size


@compiled
def _read_all(text: Array, size: int, out: Array) -> None:
    """Read the lines of `text`, of which so many bytes are theirs."""
    at = 0
    for index in range(out.shape[1]):
        end = _line_end(text, at, size)
        out[START, index] = at
        out[END, index] = end
        if end - at > MAX_CHARS or _behind_line(text, at, out, index) != end:
            out[SECOND, index] = -1
        at = end + 1
