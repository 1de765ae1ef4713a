"""Writes hits as the lines that msgspec would write of them, in compiled loops.

What many hits share is made once, as pieces (`pixeltally.fragment`); id, time, place, agent and referer are each
one's own.
"""

import numpy as np

from ingest.log_lines import AGENT, REFERER, SECOND
from pixeltally.compiled import Array, Number, compiled, inlined
from pixeltally.hashes import BLOCK_BYTES, blake2b, murmur2
from pixeltally.wide import WIDE, copy

#: What is known of an address, a row each: the visitor's bits, 0 where it names nobody; and the piece `,"ip":…`. A
#: piece is two numbers: where it starts, and its length.
VISITOR, IP = 0, 1
WHO_WIDTH = 3

#: What is known of what was asked: the number of why it is no hit (`HIT`: it is one; `UNSURE`: take a closer look); the
#: visitor that it names, or 0; the number of its node; and pieces: from `kind` up to `visitor`, the key's
#: `advertiser/campaign|`, from `creative` up to `ip`, and what follows `referer`.
OUTCOME, ITS_VISITOR, NODE, WHAT, KEY, UNIT, REST = 0, 1, 2, 3, 5, 7, 9
ASKED_WIDTH = 11
HIT, UNSURE = 0, -1

#: Of a node: its name and a colon; `,"node":…,"seq":`.
NAME, NODE_JSON = 0, 2

#: Partitions of a line that is no hit, and of one that only `ingest.log_judge` can judge.
NONE, LEFT_OPEN = -1, -2

#: What a line has beside pieces and texts at most: its id, three numbers, and what stands around them.
_REST_BYTES = 160


def _text(text: bytes) -> "Array":
    return np.frombuffer(text.ljust(WIDE, b"\0"), np.uint8)


_ID, _TS, _AGENT, _REFERER = map(_text, (b'{"id":"', b'","ts":', b',"user_agent":"', b',"referer":"'))
_HEX = np.frombuffer(b"".join(b"%02x" % number for number in range(256)), np.uint8)
_QUOTE, _DASH, _ZERO = b'"-0'


@inlined
def _put_decimal(out: Array, at: Number, number: Number) -> Number:
    """Write a number; where it ends."""
    end, left = at + 1, number // np.uint64(10)
    while left:
        end += 1
        left //= np.uint64(10)
    for place in range(end - 1, at - 1, -1):
        rest = number // np.uint64(10)
        out[place] = np.uint64(_ZERO) + number - rest * np.uint64(10)
        number = rest
    return end


@inlined
def _put_hex(out: Array, at: Number, number: Number, size: int) -> Number:
    """Write so many bytes of a number, the lowest last; where they end."""
    for place in range(size):
        pair = np.int64(number >> np.uint64(8 * (size - 1 - place)) & np.uint64(0xFF))
        out[at + 2 * place] = _HEX[2 * pair]
        out[at + 2 * place + 1] = _HEX[2 * pair + 1]
    return at + 2 * size


@inlined
def _put_id(out: Array, at: Number, ts_ms: Number, place: Array, length: Number) -> Number:
    """Write `pixeltally.identity.hit_id` of a moment and a place; where it ends."""
    first, second = blake2b(place, length, 10)
    at = _put_hex(out, at, np.uint64(ts_ms >> 16), 4)
    out[at] = _DASH
    at = _put_hex(out, at + 1, np.uint64(ts_ms & 0xFFFF), 2)
    out[at] = _DASH
    free = first << np.uint64(8) & np.uint64(0x0F00) | first >> np.uint64(8) & np.uint64(0xFF)
    at = _put_hex(out, at + 1, np.uint64(0x7000) | free, 2)
    out[at] = _DASH
    variant = np.uint64(0x80) | first >> np.uint64(16) & np.uint64(0x3F)
    at = _put_hex(out, at + 1, variant << np.uint64(8) | first >> np.uint64(24) & np.uint64(0xFF), 2)
    out[at] = _DASH
    at += 1
    for number in range(6):
        word = first >> np.uint64(32 + 8 * number) if number < 4 else second >> np.uint64(8 * number - 32)
        at = _put_hex(out, at, word & np.uint64(0xFF), 1)
    return at


@inlined
def _put_piece(out: Array, at: Number, pieces: Array, row: Array, piece: int) -> Number:
    return copy(out, at, pieces, row[piece], row[piece + 1])


@inlined
def _put_text(out: Array, at: Number, name: Array, name_length: int, text: Array, start: Number, end: Number) -> Number:
    """Write a header that says something; where it ends."""
    if start == end:
        return at
    at = copy(out, at, name, 0, name_length)
    at = copy(out, at, text, start, end - start)
    out[at] = _QUOTE
    return at + 1


@inlined
def _visitor(asked: Array, whos: Array, index: int) -> Number:
    """Whose request it is: the subscriber's that it names, else the address's."""
    return np.uint64(asked[index, ITS_VISITOR] if asked[index, ITS_VISITOR] else whos[index, VISITOR])


@compiled
def place(
    columns: Array, midnights: Array, whos: Array, asked: Array, nodes: Array, pieces: Array, scratch: Array,
    oldest_s: int, newest_s: int, partition_count: int, places: Array, counts: Array,
) -> int:  # fmt: skip
    """Give lines their partitions, and count those that are no hits, by outcome; how many bytes hits take at most."""
    size = 0
    for index in range(places.size):
        outcome, second = asked[index, OUTCOME], midnights[index, 0] + columns[SECOND, index]
        if not oldest_s <= second <= newest_s or outcome == UNSURE or (outcome == HIT and whos[index, VISITOR] == 0):
            places[index] = LEFT_OPEN
        elif outcome != HIT:
            places[index] = NONE
            counts[outcome] += 1
        else:
            end = _put_piece(scratch, 0, pieces, asked[index], KEY)
            end = _put_decimal(scratch, end, _visitor(asked, whos, index))
            places[index] = (murmur2(scratch, end) & 0x7FFFFFFF) % partition_count
            for piece in (WHAT, UNIT, REST):
                size += asked[index, piece + 1]
            size += whos[index, IP + 1] + nodes[asked[index, NODE], NODE_JSON + 1] + _REST_BYTES
            size += columns[AGENT + 1, index] - columns[AGENT, index]
            size += columns[REFERER + 1, index] - columns[REFERER, index]
    return size


@inlined
def _put_line(
    index: int, columns: Array, midnights: Array, whos: Array, asked: Array, nodes: Array, pieces: Array,
    scratch: Array, text: Array, seq: Number, out: Array, at: Number,
) -> Number:  # fmt: skip
    """Write a hit; where it ends."""
    ts_ms, node = (midnights[index, 0] + columns[SECOND, index]) * 1000, nodes[asked[index, NODE]]
    length = _put_decimal(scratch, _put_piece(scratch, 0, pieces, node, NAME), seq)
    for behind in range(length, BLOCK_BYTES):
        scratch[behind] = 0
    at = _put_id(out, copy(out, at, _ID, 0, 7), ts_ms, scratch, length)
    at = _put_decimal(out, copy(out, at, _TS, 0, 7), np.uint64(ts_ms))
    at = _put_decimal(out, _put_piece(out, at, pieces, asked[index], WHAT), _visitor(asked, whos, index))
    at = _put_decimal(out, _put_piece(out, at, pieces, node, NODE_JSON), seq)
    at = _put_piece(out, at, pieces, asked[index], UNIT)
    at = _put_piece(out, at, pieces, whos[index], IP)
    at = _put_text(out, at, _AGENT, 15, text, columns[AGENT, index], columns[AGENT + 1, index])
    at = _put_text(out, at, _REFERER, 12, text, columns[REFERER, index], columns[REFERER + 1, index])
    return _put_piece(out, at, pieces, asked[index], REST)


@compiled
def write(
    columns: Array, midnights: Array, whos: Array, asked: Array, nodes: Array, pieces: Array, scratch: Array,
    text: Array, seqs: Array, ready: Array, ready_ends: Array, order: Array, out: Array, ends: Array,
) -> None:  # fmt: skip
    """Write hits in this order, and where each ends; numbers beyond the columns are of lines that are ready."""
    at, count = 0, columns.shape[1]
    for number in range(order.size):
        index = order[number]
        if index >= count:
            start, end = ready_ends[index - count], ready_ends[index - count + 1]
            at = copy(out, at, ready, start, end - start)
        else:
            seq = np.uint64(seqs[index])
            at = _put_line(
                index, columns, midnights, whos, asked, nodes, pieces, scratch, text, seq, out, at
            )  # fmt: skip
        ends[number] = at
