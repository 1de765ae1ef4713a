"""Makes facts of hit lines: the lines as they are, with what was found put in before their closing brace."""

from collections.abc import Mapping

import numpy as np

from pixeltally.compiled import PADDING, Array, compiled
from pixeltally.wide import copy
from streams import columns
from streams.columns import Lines
from streams.enrich import LENGTH, PIECE, Enriched

_DUPLICATE = np.frombuffer(b',"duplicate":true' + PADDING, np.uint8)
_DUPLICATE_LENGTH = len(_DUPLICATE) - len(PADDING)


class Facts:
    """The facts of a message."""

    def __init__(self, text: bytes, ends: Array) -> None:
        """`ends`: where each line ends in `text`."""
        self.text = text
        self._ends = ends

    def line(self, index: int) -> bytes:
        """One fact."""
        start = int(self._ends[index - 1]) + 1 if index else 0
        return self.text[start : int(self._ends[index])]


def facts(
    lines: Lines,
    enriched: Enriched,
    rulings: Array,
    duplicates: Array,
    joined: Mapping[int, bytes],
    pieces: Array,
    version: int,
) -> Facts:
    """The facts of `lines`: of their `rulings` (rows as in `Judge.table`), and what is `joined` to a line, by index."""
    said = b',"version":%d' % version
    endings = np.frombuffer(b"".join((said, *joined.values(), PADDING)), np.uint8)
    more = np.zeros((2, len(lines) if joined else 0), np.int64)  # where a line's own ending starts, and its length
    at = len(said)
    for index, ending in joined.items():
        more[:, index] = at, len(ending)
        at += len(ending)
    starts, ends = lines.columns[columns.START], lines.columns[columns.END]
    room = _room(starts, ends, enriched.places, enriched.agents, rulings, len(said)) + len(endings)
    out, stops = np.empty(room + len(PADDING), np.uint8), np.empty(len(lines), np.int64)
    end = _put(
        lines.text, starts, ends, pieces, enriched.places, enriched.agents, rulings,
        endings, len(said), more, duplicates, out, stops,
    )  # fmt: skip
    return Facts(out[: max(end - 1, 0)].tobytes(), stops)


@compiled
def _room(starts: Array, ends: Array, places: Array, agents: Array, rulings: Array, said: int) -> int:
    """Bytes that all facts, each with a line end, have at most, without what is joined."""
    total = starts.size * (said + _DUPLICATE_LENGTH + 2)
    for index in range(starts.size):
        total += ends[index] - starts[index] + places[index, LENGTH] + agents[index, LENGTH] + rulings[index, LENGTH]
    return total


@compiled
def _put(
    text: Array, starts: Array, ends: Array, pieces: Array, places: Array, agents: Array, rulings: Array,
    endings: Array, said: int, more: Array, duplicates: Array, out: Array, stops: Array,
) -> int:  # fmt: skip
    at = 0
    for index in range(starts.size):
        at = copy(out, at, text, starts[index], ends[index] - starts[index])
        at = copy(out, at, pieces, places[index, PIECE], places[index, LENGTH])
        at = copy(out, at, pieces, agents[index, PIECE], agents[index, LENGTH])
        at = copy(out, at, pieces, rulings[index, PIECE], rulings[index, LENGTH])
        at = copy(out, at, endings, 0, said)
        if duplicates[index]:
            at = copy(out, at, _DUPLICATE, 0, _DUPLICATE_LENGTH)
        if more.shape[1] != 0:
            at = copy(out, at, endings, more[0, index], more[1, index])
        out[at] = 125
        stops[index] = at + 1
        out[at + 1] = 10
        at += 2
    return at
