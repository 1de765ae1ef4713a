"""Reads lines of JSON into columns, in one compiled loop: hits without a backslash, which nearly all are.

What it reads, msgspec would read the same (a test holds that); what it doesn't is left to msgspec. Fields may stand in
any order; it looks for them in the order of a fact. The bytes must be UTF-8.
"""

import numpy as np

from pixeltally.compiled import Array, Number, byte, compiled, inlined, load
from streams import columns
from streams.json_text import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    LINE_END,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    behind_amount,
    behind_digits,
    behind_name,
    behind_text,
    behind_texts,
    fits,
    skip,
    uuid,
    whole_number,
)  # fmt: skip
from streams.sense import EARLIEST_MS, MOST_BYTES

#: What a field's value must be, beside its row. Texts of `_NAME`, `_AMOUNT` and `_OTHERS_ID` may be empty.
_ID, _INTEGER, _UNSIGNED, _KIND, _FLAG, _NAME, _TEXT, _OTHER, _AMOUNT, _OTHERS_ID, _NUMBER, _TEXTS, _OBJECT = range(13)

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
    ("value", _AMOUNT, _NOWHERE, False),
    ("currency", _OTHER, _NOWHERE, False),
    ("click_id", _OTHERS_ID, _NOWHERE, False),
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
_KIND_LENGTHS, _KIND_A, _KIND_B, _KIND_BITS_A, _KIND_BITS_B = _words(tuple(f'{kind}"' for kind in columns.KINDS))


@inlined
def _behind_kind(text: Array, at: int, out: Array, index: int) -> Number:
    first, second = load(text, at), load(text, at + 8)
    for kind in range(_KIND_LENGTHS.size):
        differs = (first ^ _KIND_A[kind]) & _KIND_BITS_A[kind] | (second ^ _KIND_B[kind]) & _KIND_BITS_B[kind]
        if not differs:
            out[columns.KIND, index] = kind
            return at + _KIND_LENGTHS[kind]
    return -1


@inlined
def _behind_word(text: Array, at: int, out: Array, row: int, index: int) -> int:
    """Behind true or false."""
    word = load(text, at)
    if word & np.uint64(0xFFFFFFFF) == np.uint64(0x65757274):  # true
        out[row, index] = 1
        return at + 4
    return at + 5 if word & np.uint64(0xFFFFFFFFFF) == np.uint64(0x65736C6166) else -1  # false


@inlined
def _behind_quoted(text: Array, at: int, kind: int, out: Array, row: int, index: int) -> Number:
    """Behind a value that is a string; `at` is its first byte."""
    if kind == _ID:
        behind, out[columns.ID_HIGH, index], out[columns.ID_LOW, index] = uuid(text, at)
        return behind
    if kind == _KIND:
        return _behind_kind(text, at, out, index)
    if kind == _AMOUNT:
        return behind_amount(text, at)
    if kind == _OTHERS_ID:
        return at + 1 if byte(text, at) == QUOTE else uuid(text, at)[0]
    behind = behind_name(text, at) if kind == _NAME else behind_text(text, at)
    if behind > 0 and kind != _OTHER:
        out[row, index] = at
        out[row + 1, index] = behind - 1
    return behind


@inlined
def _behind_value(text: Array, at: Number, kind: Number, out: Array, row: Number, index: int) -> Number:
    """Behind a field's value, which is put into its row; -1 where it is not what it must be."""
    if kind in (_INTEGER, _NUMBER, _UNSIGNED):
        behind = behind_digits(text, at)
        if behind > 0 and kind != _NUMBER:
            number = whole_number(text, at, behind)
            if behind - at > 18 and not (kind == _UNSIGNED and fits(text, at, behind, number)):
                return -1
            out[row, index] = np.int64(number)
        return behind
    if kind == _FLAG:
        return _behind_word(text, at, out, row, index)
    if kind == _TEXTS:
        return behind_texts(text, at + 1, CLOSE_LIST, False) if byte(text, at) == OPEN_LIST else -1
    if kind == _OBJECT:
        return behind_texts(text, at + 1, CLOSE_OBJECT, True) if byte(text, at) == OPEN_OBJECT else -1
    return _behind_quoted(text, at + 1, kind, out, row, index) if byte(text, at) == QUOTE else -1


@inlined
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
    if byte(text, at) != OPEN_OBJECT:
        return -1
    field, seen = -1, 0
    at = skip(text, at + 1)
    while byte(text, at) == QUOTE:
        field = _field(text, at + 1, field + 1)
        if field < 0 or seen >> field & 1:
            return -1
        seen |= 1 << field
        at = skip(text, at + 1 + _LENGTHS[field])
        if byte(text, at) != COLON:
            return -1
        at = _behind_value(text, skip(text, at + 1), _TYPES[field], out, _ROWS[field], index)
        if at < 0:
            return -1
        at = skip(text, at)
        if byte(text, at) == CLOSE_OBJECT:
            return at if seen & _REQUIRED == _REQUIRED else -1
        if byte(text, at) != COMMA:
            return -1
        at = skip(text, at + 1)
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
        lines += byte(text, at) == LINE_END
    return lines


@compiled
def read(text: Array, end: int, latest_ms: int, out: Array) -> tuple[int, int]:
    """Read the lines of `text` up to `end`, empty ones passed over, into `out` (zeros); how many, and of them unread.

    One that is not read has its `END` at zero.
    """
    count = at = unread = 0
    while at < end:
        if byte(text, at) == LINE_END:
            at += 1
            continue
        out[columns.START, count] = at
        brace = _brace(text, at, out, count)
        if brace > 0:
            at = skip(text, brace + 1)
        if brace > 0 and (at == end or byte(text, at) == LINE_END) and _makes_sense(out, count, brace, latest_ms):
            out[columns.END, count] = brace
        else:
            unread += 1
        while at < end and byte(text, at) != LINE_END:
            at += 1
        count += 1
    return count, unread
