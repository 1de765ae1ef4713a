"""Walks over JSON's texts and numbers, in compiled loops: many bytes at a time, no backslashes, nothing negative.

A function that is called `behind_…` gives the place behind what it expects, and -1 where that isn't there.
"""

import numpy as np

from pixeltally.compiled import Array, Number, byte, compiled, inlined, load
from pixeltally.wide import WIDE, ends_name, ends_text, first_bit

_LONGEST_NAME = 64

_ONES = np.uint64(0x0101010101010101)
_ZEROS, _SIXES = (np.uint64(each) * _ONES for each in (0x30, 6))
_LOWER_HALVES, _UPPER_HALVES = (np.uint64(each) * _ONES for each in (0x0F, 0xF0))
_TENS = np.array([10**power for power in range(8)], np.uint64)

SPACE, QUOTE, COMMA, DASH, POINT, ZERO, COLON, UNDERSCORE = 32, 34, 44, 45, 46, 48, 58, 95
OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, LINE_END = 91, 93, 123, 125, 10


@inlined
def skip(text: Array, at: Number) -> Number:
    """Behind spaces."""
    while byte(text, at) == SPACE:
        at += 1
    return at


@inlined
def behind_text(text: Array, at: int) -> int:
    """Behind the quote that ends a string whose first byte is at `at`; -1 where a backslash or control comes first."""
    while True:
        ends = ends_text(text, at)
        if ends:
            break
        at += WIDE
    at += first_bit(ends)
    return at + 1 if byte(text, at) == QUOTE else -1


@inlined
def behind_name(text: Array, at: int) -> int:
    """As `behind_text`, for a name, which may be empty."""
    start = at
    while True:
        ends = ends_name(text, at)
        if ends:
            break
        at += WIDE
    at += first_bit(ends)
    good = byte(text, at) == QUOTE and at - start <= _LONGEST_NAME
    return at + 1 if good and byte(text, start) not in (DASH, POINT, UNDERSCORE) else -1


@inlined
def behind_digits(text: Array, at: int) -> Number:
    """Behind a whole number that is not negative, of at most twenty digits; -1 where there is none."""
    start = at
    while True:
        word = load(text, at)
        # Of bytes that are digits, neither they nor six more have another upper half.
        others = ((word ^ _ZEROS) | ((word + _SIXES) ^ _ZEROS)) & _UPPER_HALVES
        if others:
            break
        at += 8
    end = at + first_bit(others) // 8
    if end == start or end - start > 20 or (byte(text, start) == ZERO and end - start > 1):
        return -1
    return end


@inlined
def _eight_digits(word: Number) -> Number:
    """The number that eight digits are, the first of which is the word's lowest byte."""
    word = (word & _LOWER_HALVES) * np.uint64(2561) >> np.uint64(8)
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
    return (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> np.uint64(32)


@inlined
def whole_number(text: Array, start: int, end: int) -> Number:
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


@inlined
def fits(text: Array, start: int, end: int, number: Number) -> bool:
    """Whether 19 or 20 digits are really the number that came of them, in 64 bits."""
    return end - start == 19 or bool(byte(text, start) == ZERO + 1 and number >= np.uint64(10**19))


@inlined
def eight_hex(word: Number) -> Number:
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
def uuid(text: Array, at: int) -> tuple[int, Number, Number]:
    """Behind the quote that ends a UUID in lower case (-1 where there is none), and its upper and lower bits."""
    dashes = byte(text, at + 8) == byte(text, at + 13) == byte(text, at + 18) == byte(text, at + 23) == DASH
    if not dashes or byte(text, at + 36) != QUOTE:
        return -1, np.int64(0), np.int64(0)
    four = np.uint64(0xFFFFFFFF)
    first, fourth = eight_hex(load(text, at)), eight_hex(load(text, at + 28))
    second = eight_hex(load(text, at + 9) & four | load(text, at + 14) << np.uint64(32))
    third = eight_hex(load(text, at + 19) & four | load(text, at + 24) << np.uint64(32))
    if (first | second | third | fourth) > four:
        return -1, np.int64(0), np.int64(0)
    return at + 37, np.int64(first << np.uint64(32) | second), np.int64(third << np.uint64(32) | fourth)


@compiled
def behind_amount(text: Array, at: int) -> int:
    """As `behind_text`, for a `pixeltally.hit.Amount`."""
    if byte(text, at) == QUOTE:
        return at + 1
    end = _behind_places(text, at, 14)
    if end > 0 and byte(text, end) == POINT:
        end = _behind_places(text, end + 1, 4)
    return end + 1 if end > 0 and byte(text, end) == QUOTE else -1


@inlined
def _behind_places(text: Array, at: int, most: int) -> int:
    """Behind one digit or more, up to so many; -1 where there are fewer or more."""
    end = at
    while ZERO <= byte(text, end) < ZERO + 10:
        end += 1
    return end if 0 < end - at <= most else -1


@inlined
def behind_texts(text: Array, at: int, close: int, keyed: bool) -> Number:
    """Behind a list of strings, or an object of them, that ends with `close`."""
    at = skip(text, at)
    if byte(text, at) == close:
        return at + 1
    while byte(text, at) == QUOTE:
        at = behind_text(text, at + 1)
        if at < 0:
            return -1
        at = skip(text, at)
        if keyed:
            if byte(text, at) != COLON:
                return -1
            at = skip(text, at + 1)
            if byte(text, at) != QUOTE:
                return -1
            at = behind_text(text, at + 1)
            if at < 0:
                return -1
            at = skip(text, at)
        if byte(text, at) == close:
            return at + 1
        if byte(text, at) != COMMA:
            return -1
        at = skip(text, at + 1)
    return -1
