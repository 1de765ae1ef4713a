"""Reads lines of JSON into columns, in one compiled loop: image requests without a backslash, which nearly all are.

What it reads, msgspec would read the same (a test holds that); what it doesn't, and is no image request, is left to
msgspec. Fields may stand in any order; it looks for them in the order of a fact. The bytes must be UTF-8.
"""

import numpy as np

from streams import columns
from streams.compiled import Array, Number, byte, compiled, first_byte, load
from streams.sense import EARLIEST_MS, MOST_BYTES

#: What a field's value must be, beside its row. Texts of `_NAME` are names or empty; `_EMPTY` must be.
_ID, _INTEGER, _UNSIGNED, _KIND, _FLAG, _NAME, _TEXT, _OTHER, _EMPTY, _NUMBER, _TEXTS, _OBJECT = range(12)

_NOWHERE = -1

#: (field, what its value is, its row, whether it must be there)
_FIELDS = (
    ("id", _ID, columns.ID_HIGH, True),
    ("ts", _INTEGER, columns.TIME, True),
    ("kind", _KIND, columns.KIND, True),
    ("advertiser", _NAME, columns.ADVERTISER, True),
    ("campaign", _NAME, columns.CAMPAIGN, True),
    ("visitor", _UNSIGNED, columns.VISITOR, True),
    ("node", _TEXT, columns.NODE, True),
    ("seq", _INTEGER, columns.SEQ, True),
    ("creative", _NAME, columns.CREATIVE, False),
    ("placement", _NAME, columns.PLACEMENT, False),
    ("subscriber", _OTHER, _NOWHERE, False),
    ("ip", _TEXT, columns.IP, False),
    ("user_agent", _TEXT, columns.USER_AGENT, False),
    ("referer", _OTHER, _NOWHERE, False),
    ("purpose", _TEXT, columns.PURPOSE, False),
    ("params", _OBJECT, _NOWHERE, False),
    ("order", _OTHER, _NOWHERE, False),
    ("value", _EMPTY, _NOWHERE, False),
    ("currency", _OTHER, _NOWHERE, False),
    ("click_id", _EMPTY, _NOWHERE, False),
    ("country", _OTHER, _NOWHERE, False),
    ("asn", _NUMBER, _NOWHERE, False),
    ("isp", _OTHER, _NOWHERE, False),
    ("browser", _OTHER, _NOWHERE, False),
    ("os", _OTHER, _NOWHERE, False),
    ("device", _OTHER, _NOWHERE, False),
    ("verdict", _TEXT, columns.VERDICT, False),
    ("reasons", _TEXTS, _NOWHERE, False),
    ("evidence", _OTHER, _NOWHERE, False),
    ("rules_version", _OTHER, _NOWHERE, False),
    ("version", _NUMBER, _NOWHERE, False),
    ("duplicate", _FLAG, columns.DUPLICATE, False),
)

_COUNT = len(_FIELDS)
_REQUIRED = sum(1 << number for number, (_, _, _, required) in enumerate(_FIELDS) if required)


def _words(names: tuple[str, ...]) -> tuple[Array, ...]:
    """Each name's length; its bytes as two words; and which bits of such words are the name's."""
    padded = b"".join(name.encode().ljust(16, b"\0") for name in names)
    masks = b"".join(b"\xff" * len(name) + b"\0" * (16 - len(name)) for name in names)
    words, bits = (np.frombuffer(each, np.uint64) for each in (padded, masks))
    return (
        np.array([len(name) for name in names]),
        words[::2].copy(),
        words[1::2].copy(),
        bits[::2].copy(),
        bits[1::2].copy(),
    )


#: Twice, so that a search may begin anywhere.
_LENGTHS, _NAME_A, _NAME_B, _BITS_A, _BITS_B = _words(tuple(f'{name}"' for name, _, _, _ in _FIELDS * 2))
_TYPES = np.array([each for _, each, _, _ in _FIELDS])
_ROWS = np.array([row for _, _, row, _ in _FIELDS])
_KIND_LENGTHS, _KIND_A, _KIND_B, _KIND_BITS_A, _KIND_BITS_B = _words(('impression"', 'open"', 'view"'))

#: 1: may stand in a name; 2: may begin one.
_IN_NAME = np.zeros(256, np.uint8)
for _letter in b"abcdefghijklmnopqrstuvwxyz0123456789":
    _IN_NAME[_letter] = 2
for _letter in b"._-":
    _IN_NAME[_letter] = 1

_LONGEST_NAME = 64

_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _BACKSLASHES, _SPACES, _ZEROS, _SIXES = (np.uint64(each) * _ONES for each in (0x22, 0x5C, 0x20, 0x30, 6))
_LOWER_HALVES, _UPPER_HALVES = (np.uint64(each) * _ONES for each in (0x0F, 0xF0))
_TENS = np.array([10**power for power in range(8)], np.uint64)

_SPACE, _QUOTE, _COMMA, _DASH, _ZERO, _COLON = 32, 34, 44, 45, 48, 58
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT, _LINE_END = 91, 93, 123, 125, 10


@compiled
def _skip(text: Array, at: Number) -> Number:
    """Behind spaces."""
    while byte(text, at) == _SPACE:
        at += 1
    return at


@compiled
def _behind_text(text: Array, at: int) -> int:
    """Behind the quote that ends a string whose first byte is at `at`; -1 where a backslash or control comes first."""
    while True:
        word = load(text, at)
        quotes, slashes = word ^ _QUOTES, word ^ _BACKSLASHES
        found = ((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes) | ((word - _SPACES) & ~word)
        found &= _HIGHS
        if found:
            stop = at + first_byte(np.uint64(found))
            return stop + 1 if byte(text, stop) == _QUOTE else -1
        at += 8


@compiled
def _behind_name(text: Array, at: int) -> int:
    """As `_behind_text`, for a name, which may be empty."""
    start = at
    while _IN_NAME[byte(text, at)]:
        at += 1
    good = (
        byte(text, at) == _QUOTE and at - start <= _LONGEST_NAME and (at == start or _IN_NAME[byte(text, start)] == 2)
    )
    return at + 1 if good else -1


@compiled
def _behind_digits(text: Array, at: int) -> Number:
    """Behind a whole number that is not negative, of at most twenty digits; -1 where there is none."""
    start = at
    while True:
        word = load(text, at)
        # Of bytes that are digits, neither they nor six more have another upper half.
        others = ((word ^ _ZEROS) | ((word + _SIXES) ^ _ZEROS)) & _UPPER_HALVES
        if others:
            break
        at += 8
    end = at + first_byte(np.uint64(others))
    if end == start or end - start > 20 or (byte(text, start) == _ZERO and end - start > 1):
        return -1
    return end


@compiled
def _eight_digits(word: Number) -> Number:
    """The number that eight digits are, the first of which is the word's lowest byte."""
    word = (word & _LOWER_HALVES) * np.uint64(2561) >> np.uint64(8)
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
    return (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> np.uint64(32)


@compiled
def _number(text: Array, start: int, end: int) -> Number:
    value, at = np.uint64(0), start
    while at + 8 <= end:
        value = value * np.uint64(100_000_000) + _eight_digits(load(text, at))
        at += 8
    if at < end:
        rest = end - at
        # Zeros before the digits that are left.
        word = load(text, at) << np.uint64(64 - 8 * rest) | _ZEROS >> np.uint64(8 * rest)
        value = value * _TENS[rest] + _eight_digits(word)
    return value


@compiled
def _eight_hex(word: Number) -> Number:
    """The number that eight lower-case hexadecimal digits are; all ones where they are none."""
    halves = (word & _LOWER_HALVES) + np.uint64(9) * (word >> np.uint64(6) & _ONES)
    letters = (halves + _SIXES) >> np.uint64(4) & _ONES
    if halves & _UPPER_HALVES or halves + _ZEROS + np.uint64(39) * letters != word:
        return np.uint64(0xFFFFFFFFFFFFFFFF)
    pairs = (halves << np.uint64(4) | halves >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    return (
        (pairs & np.uint64(0xFF)) << np.uint64(24)
        | (pairs >> np.uint64(16) & np.uint64(0xFF)) << np.uint64(16)
        | (pairs >> np.uint64(32) & np.uint64(0xFF)) << np.uint64(8)
        | pairs >> np.uint64(48)
    )


@compiled
def _behind_id(text: Array, at: int, out: Array, index: int) -> int:
    dashes = byte(text, at + 8) == byte(text, at + 13) == byte(text, at + 18) == byte(text, at + 23) == _DASH
    if not dashes or byte(text, at + 36) != _QUOTE:
        return -1
    four = np.uint64(0xFFFFFFFF)
    first, fourth = _eight_hex(load(text, at)), _eight_hex(load(text, at + 28))
    second = _eight_hex(load(text, at + 9) & four | load(text, at + 14) << np.uint64(32))
    third = _eight_hex(load(text, at + 19) & four | load(text, at + 24) << np.uint64(32))
    if (first | second | third | fourth) > four:
        return -1
    out[columns.ID_HIGH, index] = np.int64(first << np.uint64(32) | second)
    out[columns.ID_LOW, index] = np.int64(third << np.uint64(32) | fourth)
    return at + 37


@compiled
def _behind_kind(text: Array, at: int, out: Array, index: int) -> Number:
    first, second = load(text, at), load(text, at + 8)
    for kind in range(3):
        differs = (first ^ _KIND_A[kind]) & _KIND_BITS_A[kind] | (second ^ _KIND_B[kind]) & _KIND_BITS_B[kind]
        if not differs:
            out[columns.KIND, index] = kind
            return at + _KIND_LENGTHS[kind]
    return -1


@compiled
def _behind_texts(text: Array, at: int, close: int, keyed: bool) -> Number:
    """Behind a list of strings, or an object of them, that ends with `close`."""
    at = _skip(text, at)
    if byte(text, at) == close:
        return at + 1
    while byte(text, at) == _QUOTE:
        at = _behind_text(text, at + 1)
        if at < 0:
            return -1
        at = _skip(text, at)
        if keyed:
            if byte(text, at) != _COLON:
                return -1
            at = _skip(text, at + 1)
            if byte(text, at) != _QUOTE:
                return -1
            at = _behind_text(text, at + 1)
            if at < 0:
                return -1
            at = _skip(text, at)
        if byte(text, at) == close:
            return at + 1
        if byte(text, at) != _COMMA:
            return -1
        at = _skip(text, at + 1)
    return -1


@compiled
def _behind_word(text: Array, at: int, out: Array, row: int, index: int) -> int:
    """Behind true or false."""
    word = load(text, at)
    if word & np.uint64(0xFFFFFFFF) == np.uint64(0x65757274):  # true
        out[row, index] = 1
        return at + 4
    return at + 5 if word & np.uint64(0xFFFFFFFFFF) == np.uint64(0x65736C6166) else -1  # false


@compiled
def _behind_quoted(text: Array, at: int, kind: int, out: Array, row: int, index: int) -> Number:
    """Behind a value that is a string; `at` is its first byte."""
    if kind == _ID:
        return _behind_id(text, at, out, index)
    if kind == _KIND:
        return _behind_kind(text, at, out, index)
    if kind == _EMPTY:
        return at + 1 if byte(text, at) == _QUOTE else -1
    behind = _behind_name(text, at) if kind == _NAME else _behind_text(text, at)
    if behind > 0 and kind != _OTHER:
        out[row, index] = at
        out[row + 1, index] = behind - 1
    return behind


@compiled
def _fits(text: Array, start: int, end: int, number: Number) -> bool:
    """Whether 19 or 20 digits are really the number that came of them, in 64 bits."""
    return end - start == 19 or bool(byte(text, start) == _ZERO + 1 and number >= np.uint64(10**19))


@compiled
def _behind_value(text: Array, at: Number, kind: Number, out: Array, row: Number, index: int) -> Number:
    """Behind a field's value, which is put into its row; -1 where it is not what it must be."""
    if kind in (_INTEGER, _NUMBER, _UNSIGNED):
        behind = _behind_digits(text, at)
        if behind > 0 and kind != _NUMBER:
            number = _number(text, at, behind)
            if behind - at > 18 and not (kind == _UNSIGNED and _fits(text, at, behind, number)):
                return -1
            out[row, index] = np.int64(number)
        return behind
    if kind == _FLAG:
        return _behind_word(text, at, out, row, index)
    if kind == _TEXTS:
        return _behind_texts(text, at + 1, _CLOSE_LIST, False) if byte(text, at) == _OPEN_LIST else -1
    if kind == _OBJECT:
        return _behind_texts(text, at + 1, _CLOSE_OBJECT, True) if byte(text, at) == _OPEN_OBJECT else -1
    return _behind_quoted(text, at + 1, kind, out, row, index) if byte(text, at) == _QUOTE else -1


@compiled
def _field(text: Array, at: int, expected: int) -> Number:
    """Which field's name stands at `at`; -1 where it is none."""
    first, second = load(text, at), load(text, at + 8)
    for step in range(_COUNT):
        field = np.uint64(expected + step)
        if not (first ^ _NAME_A[field]) & _BITS_A[field] and not (second ^ _NAME_B[field]) & _BITS_B[field]:
            return np.int64(field) if expected + step < _COUNT else expected + step - _COUNT
    return -1


@compiled
def _brace(text: Array, at: Number, out: Array, index: int) -> Number:
    """Where the brace stands that ends the line at `at`; -1 where it is not read."""
    if byte(text, at) != _OPEN_OBJECT:
        return -1
    field, seen = -1, 0
    at = _skip(text, at + 1)
    while byte(text, at) == _QUOTE:
        field = _field(text, at + 1, field + 1)
        if field < 0 or seen >> field & 1:
            return -1
        seen |= 1 << field
        at = _skip(text, at + 1 + _LENGTHS[field])
        if byte(text, at) != _COLON:
            return -1
        at = _behind_value(text, _skip(text, at + 1), _TYPES[field], out, _ROWS[field], index)
        if at < 0:
            return -1
        at = _skip(text, at)
        if byte(text, at) == _CLOSE_OBJECT:
            return at if seen & _REQUIRED == _REQUIRED else -1
        if byte(text, at) != _COMMA:
            return -1
        at = _skip(text, at + 1)
    return -1


@compiled
def _makes_sense(out: Array, index: int, brace: int, latest_ms: int) -> bool:
    """Whether a table can hold it: `streams.sense`."""
    return bool(
        out[columns.ADVERTISER, index] < out[columns.ADVERTISER + 1, index]
        and out[columns.CAMPAIGN, index] < out[columns.CAMPAIGN + 1, index]
        and EARLIEST_MS <= out[columns.TIME, index] <= latest_ms
        and brace - out[columns.START, index] < MOST_BYTES
    )


@compiled
def count(text: Array, end: int) -> int:
    """How many lines there are at most up to `end`."""
    lines = 1
    for at in range(end):
        lines += byte(text, at) == _LINE_END
    return lines


@compiled
def read(text: Array, end: int, latest_ms: int, out: Array) -> tuple[int, int]:
    """Read the lines of `text` up to `end`, empty ones passed over, into `out` (zeros); how many, and of them unread.

    One that is not read has its `END` at zero.
    """
    count = at = unread = 0
    while at < end:
        if byte(text, at) == _LINE_END:
            at += 1
            continue
        out[columns.START, count] = at
        brace = _brace(text, at, out, count)
        if brace > 0:
            at = _skip(text, brace + 1)
        if brace > 0 and (at == end or byte(text, at) == _LINE_END) and _makes_sense(out, count, brace, latest_ms):
            out[columns.END, count] = brace
        else:
            unread += 1
        while at < end and byte(text, at) != _LINE_END:
            at += 1
        count += 1
    return count, unread
