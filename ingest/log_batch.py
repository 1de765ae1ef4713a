"""Judges many lines of a log at once, and packs their hits: column by column, and line by line where that can't be."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import msgspec
import numpy as np

from ingest import combined, hit_lines
from ingest.hit_lines import LEFT_OPEN, NODE, NONE
from ingest.log_counted import Counted
from ingest.log_judge import BOM, Left, Page, bounds_s, judgement
from ingest.log_known import Known
from ingest.log_lines import LogLines
from ingest.logged import Logged, Unreadable
from ingest.packing import Message
from pixeltally import topics
from pixeltally.compiled import PADDING, Array
from pixeltally.hit import Hit
from pixeltally.packed import MESSAGE_BYTES, MESSAGE_LINES
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings

_SCRATCH_BYTES = 512

_encode = msgspec.json.Encoder().encode

Parse = Callable[[str], Logged]


class Judged(NamedTuple):
    """What lines were."""

    messages: list[Message]  #: of the hits that were not counted before, each partition's in their order
    hits: int
    counts: Counter[Left]  #: of lines that are no hits and need no closer look
    left: list[tuple[int, Left]]  #: of the others: (which line, why)


class Batches:
    """Judges batches of lines."""

    def __init__(self, settings: Settings, pages: Sequence[Page], now_s: float, partition_count: int) -> None:
        self._judge, self._known = judgement(settings, pages, now_s), Known(settings, pages, now_s)
        oldest_s, newest_s = bounds_s(settings, now_s)
        self._limits = ceil(oldest_s), floor(newest_s), partition_count
        self._partition_count = partition_count
        self._scratch: Array = np.zeros(_SCRATCH_BYTES, np.uint8)

    def judge(self, lines: LogLines, node: str, first: int, parse: Parse, counted: Counted) -> Judged:
        """What a log's lines are, of which the first has the place `first`; all are of that node."""
        read = np.flatnonzero(lines.are_read & (parse is combined.parse))
        columns, known = np.ascontiguousarray(lines.columns[:, read]), self._known
        answers = known.look_up(lines.text, columns)
        given = columns, *answers, known.nodes(node), known.pieces, self._scratch
        places, counts = np.empty(len(read), np.int64), np.zeros(len(known.lefts) + 1, np.int64)
        size = hit_lines.place(*given, *self._limits, places, counts)
        is_open = np.ones(len(lines), bool)
        is_open[read[places != LEFT_OPEN]] = False
        hits, left = self._judge_each(lines, np.flatnonzero(is_open), node, first, parse)

        seqs = np.concatenate([read + first, _seqs(hits)])
        places = np.concatenate([places, self._partitions(hits)])
        theirs = [known.suffix(hit.node.removeprefix(node)) for hit in hits]
        suffixes = np.concatenate([answers.asked[:, NODE], np.array(theirs, np.int64)])
        hit_count = int(np.count_nonzero(places >= 0))
        numbers = self._take(counted, suffixes, seqs, places)
        places[numbers != 1] = NONE
        further: list[Hit] = []
        for number in np.unique(numbers[numbers > 1]).tolist():
            indexes = np.sort(seqs[numbers == number]) - first
            further += self._judge_each(lines, indexes, counted.node(number), first, parse)[0]
        seqs = np.concatenate([seqs, _seqs(further)])
        places = np.concatenate([places, self._partitions(further)])

        order, bounds = _in_order(places, seqs, self._partition_count)
        ready, ready_ends = _written(hits + further)
        out, ends = np.empty(size + ready.size, np.uint8), np.empty(len(order), np.int64)
        hit_lines.write(*given, lines.text, seqs, ready, ready_ends, order, out, ends)
        return Judged(
            list(_messages(out, ends, bounds)),
            hit_count,
            Counter({left: count for left, count in zip(known.lefts, counts[1:].tolist(), strict=True) if count}),
            left,
        )

    def _take(self, counted: Counted, suffixes: Array, seqs: Array, places: Array) -> Array:
        """By the name of which number each hit is to be sent (`Counted.take`); 0 where it is none, too."""
        numbers, is_hit = np.zeros(len(seqs), np.int64), places >= 0
        for suffix in np.unique(suffixes[is_hit]).tolist():
            these = is_hit & (suffixes == suffix)
            numbers[these] = counted.take(self._known.suffixes[suffix], seqs[these], places[these])
        return numbers

    def _judge_each(
        self, lines: LogLines, indexes: Array, node: str, first: int, parse: Parse
    ) -> tuple[list[Hit], list[tuple[int, Left]]]:
        """Judge these lines one by one: the hits, and (which line, why) of those that are none."""
        hits: list[Hit] = []
        left: list[tuple[int, Left]] = []
        for index in indexes.tolist():
            line = lines.line(index) if first + index else lines.line(index).removeprefix(BOM)
            try:
                found = self._judge(parse(line.decode("utf-8", "replace")), node, first + index)
            except Unreadable as error:
                found = Left("bad", str(error)) if line.strip() else Left("other", "empty line")
            if isinstance(found, Hit):
                hits.append(found)
            else:
                left.append((index, found))
        return hits, left

    def _partitions(self, hits: Sequence[Hit]) -> Array:
        keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
        return np.array(partitions(keys, self._partition_count), np.int64)


def _seqs(hits: Sequence[Hit]) -> Array:
    return np.array([hit.seq for hit in hits], np.int64)


def _written(hits: Sequence[Hit]) -> tuple[Array, Array]:
    """Hits' lines, and where these end, behind a zero."""
    texts = [_encode(hit) + b"\n" for hit in hits]
    return np.frombuffer(b"".join(texts) + PADDING, np.uint8), np.cumsum([0, *map(len, texts)])


def _in_order(places: Array, seqs: Array, partition_count: int) -> tuple[Array, Array]:
    """The hits by partition, each partition's in their order; with which of these each partition begins."""
    order = np.lexsort((seqs, places))
    bounds = np.searchsorted(places[order], np.arange(partition_count + 1))
    return order[bounds[0] :], bounds - bounds[0]


def _messages(out: Array, ends: Array, bounds: Array) -> Iterator[Message]:
    """The messages of lines that end there; `bounds` says with which each partition begins."""
    for partition, (begin, end) in enumerate(pairwise(bounds.tolist())):
        first = begin
        while first < end:
            start = int(ends[first - 1]) if first else 0
            behind = np.searchsorted(ends[first : min(first + MESSAGE_LINES, end)], start + MESSAGE_BYTES, "right")
            first += max(int(behind), 1)
            yield topics.HITS, partition, out[start : ends[first - 1] - 1].tobytes()
