"""Numbers that are answers to texts, so that what comes again costs a look into a table. When full, it is emptied."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from pixeltally.compiled import PADDING, Array, Number, compiled, inlined, load, prefetch
from pixeltally.wide import WIDE, copy

#: Gives a row of numbers for each question, which has as many texts as the cache was made for.
Answer = Callable[[list[tuple[str, ...]]], Sequence[Sequence[int]]]

#: Bytes of texts that are remembered.
_MOST_BYTES = 64 << 20

#: Columns of an entry: the hash of its texts, where they stand, and where each of them ends.
_HASH, _WHERE, _ENDS = 0, 1, 2

_FIRST_ENTRIES, _FIRST_BYTES = 512, 1 << 14


class Cache:
    """Asks what it does not know yet, all of a column's new questions at once."""

    def __init__(self, width: int, most: int, texts: int = 1) -> None:
        """An answer is `width` numbers, a question so many `texts`, and about `most` answers are kept."""
        self._width, self._most, self._texts = width, most, texts
        self.empty()

    def __len__(self) -> int:
        return int(self._used[0])

    def empty(self) -> None:
        """Forget all."""
        self._entries: Array = np.zeros((_FIRST_ENTRIES, _ENDS + self._texts), np.int64)
        self._slots: Array = np.zeros(2 * _FIRST_ENTRIES, np.int32)
        self._answers: Array = np.zeros((_FIRST_ENTRIES, self._width), np.int64)
        self._bytes: Array = np.zeros(_FIRST_BYTES, np.uint8)
        self._used: Array = np.zeros(2, np.int64)  # entries, bytes

    def look_up(self, text: Array, spans: Array, answer: Answer) -> Array:
        """The answer to each question, a row each; two rows of `spans` for each text: where it starts and ends."""
        numbers = np.empty(spans.shape[1], np.int64)
        known = len(self)
        if not _find_all(text, spans, self._slots, self._entries, self._bytes, self._used, self._most, numbers):
            self._make_room(spans.shape[1], int(spans[1::2].sum() - spans[::2].sum()))
            known = len(self)
            _find_all(text, spans, self._slots, self._entries, self._bytes, self._used, len(self._entries), numbers)
        if len(self) > known:
            self._answers[known : len(self)] = answer(self._questions(known))
        return self._answers.take(numbers, axis=0)

    def _questions(self, known: int) -> list[tuple[str, ...]]:
        """Those that were entered behind the `known`."""
        entries = self._entries[known : len(self)]
        first = int(entries[0, _WHERE])
        text = self._bytes[first : int(self._used[1])].tobytes()
        rows = (entries[:, _WHERE:] - first).tolist()
        parts = [[text[start:end] for start, end in pairwise(row)] for row in rows]
        return [tuple(part.decode("utf-8", "surrogatepass") for part in row) for row in parts]

    def _make_room(self, count: int, length: int) -> None:
        """See that `count` more questions fit, with texts of that length."""
        if len(self) + count > self._most or self._used[1] + length > _MOST_BYTES:
            self.empty()
        entries, used = (int(number) for number in self._used)
        if entries + count > len(self._entries):
            size = 2 * (entries + count)
            self._entries, self._answers = _grown(self._entries, size), _grown(self._answers, size)
            self._slots = np.zeros(1 << (2 * size).bit_length(), np.int32)
            _place_all(self._slots, self._entries, entries)
        if used + length + len(PADDING) > len(self._bytes):
            self._bytes = _grown(self._bytes, 2 * (used + length) + len(PADDING))


def _grown(array: Array, size: int) -> Array:
    grown = np.zeros((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


@compiled
def _has_room(spans: Array, entries: Array, known: Array, used: Array, most: int) -> bool:
    length = 0
    for part in range(0, spans.shape[0], 2):
        for number in range(spans.shape[1]):
            length += spans[part + 1, number] - spans[part, number]
    return bool(used[0] + spans.shape[1] <= min(most, len(entries)) and used[1] + length + WIDE <= len(known))


@inlined
def _hash(text: Array, spans: Array, number: int) -> Number:
    mixed = np.uint64(0)
    for part in range(0, spans.shape[0], 2):
        start, end = spans[part, number], spans[part + 1, number]
        mixed = (mixed ^ np.uint64(end - start)) * np.uint64(0x9E3779B97F4A7C15)
        for at in range(start, end, 8):
            mixed = (mixed ^ _word(text, at, end)) * np.uint64(0xD6E8FEB86659FD93)
            mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed)


@inlined
def _word(text: Array, at: int, end: int) -> Number:
    """Eight bytes of a text; behind its end zeros."""
    word = load(text, at)
    return word if end - at >= 8 else word & ((np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1))


@inlined
def _is_entry(text: Array, spans: Array, number: int, entries: Array, entry: Number, known: Array) -> bool:
    """Whether an entry holds a question's texts."""
    where = entries[entry, _WHERE]
    for part in range(entries.shape[1] - _ENDS):
        start, end, behind = spans[2 * part, number], spans[2 * part + 1, number], entries[entry, _ENDS + part]
        if behind - where != end - start:
            return False
        for at in range(start, end, 8):
            if _word(text, at, end) != _word(known, where + at - start, behind):
                return False
        where = behind
    return True


@compiled
def _add(text: Array, spans: Array, number: int, entries: Array, known: Array, used: Array) -> None:
    """Make an entry of a question's texts."""
    entry = used[0]
    used[0] += 1
    entries[entry, _WHERE] = used[1]
    for part in range(entries.shape[1] - _ENDS):
        start = spans[2 * part, number]
        used[1] = copy(known, used[1], text, start, spans[2 * part + 1, number] - start)
        entries[entry, _ENDS + part] = used[1]


@inlined
def _bring_near(text: Array, spans: Array, slots: Array, entries: Array, known: Array, hashes: Array) -> None:
    """Hash all questions, and have the processor fetch what is known of them: many at once take as long as one."""
    for number in range(spans.shape[1]):
        hashes[number] = _hash(text, spans, number)
        prefetch(slots, hashes[number] & (slots.size - 1))
    for number in range(spans.shape[1]):
        found = np.int64(slots[hashes[number] & (slots.size - 1)]) - 1
        if found >= 0:
            prefetch(entries, found)
    for number in range(spans.shape[1]):
        found = np.int64(slots[hashes[number] & (slots.size - 1)]) - 1
        if found >= 0:
            prefetch(known, entries[found, _WHERE])


@compiled
def _find_all(
    text: Array, spans: Array, slots: Array, entries: Array, known: Array, used: Array, most: int, out: Array
) -> bool:
    """Find the number of each question's entry, which may be new; False where there may be no room for it."""
    if not _has_room(spans, entries, known, used, most):
        return False
    _bring_near(text, spans, slots, entries, known, out)
    for number in range(spans.shape[1]):
        hashed = out[number]
        at = hashed & (slots.size - 1)
        while True:
            found = np.int64(slots[at]) - 1
            if found < 0:
                found = used[0]
                slots[at] = found + 1
                entries[found, _HASH] = hashed
                _add(text, spans, number, entries, known, used)
                break
            if entries[found, _HASH] == hashed and _is_entry(text, spans, number, entries, found, known):
                break
            at = (at + 1) & (slots.size - 1)
        out[number] = found
    return True


@compiled
def _place_all(slots: Array, entries: Array, count: int) -> None:
    for number in range(count):
        at = entries[number, _HASH] & (slots.size - 1)
        while slots[at] != 0:
            at = (at + 1) & (slots.size - 1)
        slots[at] = number + 1
