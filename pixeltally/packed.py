"""Rows as the values of Kafka's messages: NDJSON, as many lines to each as a message may hold."""

from collections.abc import Iterator, Sequence

import msgspec

#: A message holds at most so many lines and bytes: with half as many streams take a sixth longer, with twice no less.
MESSAGE_LINES = 2000
MESSAGE_BYTES = 1024 * 1024

_encode_lines = msgspec.json.Encoder().encode_lines


def values(rows: Sequence[msgspec.Struct]) -> Iterator[bytes]:
    """The rows in their order; one that is larger than a message may be has its own."""
    for start in range(0, len(rows), MESSAGE_LINES):
        yield from _fitting(rows[start : start + MESSAGE_LINES])


def parts(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The lines in their order, in parts that messages may hold, one at least; a line that is larger has its own."""
    start = size = 0
    for index, line in enumerate(lines):
        if index > start and size + len(line) > MESSAGE_BYTES:
            yield lines[start:index]
            start, size = index, 0
        size += len(line) + 1
    yield lines[start:]


def _fitting(rows: Sequence[msgspec.Struct]) -> Iterator[bytes]:
    value = _encode_lines(rows)
    if len(rows) == 1 or len(value) <= MESSAGE_BYTES:
        yield value[:-1]
    else:
        middle = len(rows) // 2
        yield from _fitting(rows[:middle])
        yield from _fitting(rows[middle:])
