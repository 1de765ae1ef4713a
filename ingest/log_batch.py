"""Judges many lines of a log at once, and packs their hits: column by column, and line by line where that can't be."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import msgspec
import numpy as np

from ingest import combined, hit_lines
from ingest.hit_lines import LEFT_OPEN, NODE
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

    messages: list[Message]  #: of the hits, each partition's in their order
    hits: int
    nodes: set[str]  #: of the hits
    counts: Counter[Left]  #: of lines that are no hits and need no closer look
    left: list[tuple[int, Left]]  #: of the others: (which line, why)


class _Hits(NamedTuple):
    """Hits that were judged one by one."""

    partitions: Array
    seqs: Array
    text: Array  #: their lines
    ends: Array  #: where these end, behind a zero
    nodes: set[str]


class Batches:
    """Judges batches of lines."""

    def __init__(self, settings: Settings, pages: Sequence[Page], now_s: float, partition_count: int) -> None:
        self._judge, self._known = judgement(settings, pages, now_s), Known(settings, pages, now_s)
        oldest_s, newest_s = bounds_s(settings, now_s)
        self._limits = ceil(oldest_s), floor(newest_s), partition_count
        self._partition_count = partition_count
        self._scratch: Array = np.zeros(_SCRATCH_BYTES, np.uint8)

    def judge(self, lines: LogLines, node: str, first: int, parse: Parse) -> Judged:
        """What a log's lines are, of which the first has the place `first`; all are of that node."""
        read = np.flatnonzero(lines.are_read & (parse is combined.parse))
        columns, known = np.ascontiguousarray(lines.columns[:, read]), self._known
        answers = known.look_up(lines.text, columns)
        given = columns, *answers, known.nodes(node), known.pieces, self._scratch
        places, counts = np.empty(len(read), np.int64), np.zeros(len(known.lefts) + 1, np.int64)
        size = hit_lines.place(*given, *self._limits, places, counts)
        is_open = np.ones(len(lines), bool)
        is_open[read[places != LEFT_OPEN]] = False
        others, left = self._judge_each(lines, np.flatnonzero(is_open).tolist(), node, first, parse)
        seqs = np.concatenate([read + first, others.seqs])
        order, bounds = _in_order(np.concatenate([places, others.partitions]), seqs, self._partition_count)
        out, ends = np.empty(size + others.text.size, np.uint8), np.empty(len(order), np.int64)
        hit_lines.write(*given, lines.text, seqs, others.text, others.ends, order, out, ends)
        suffixes = np.unique(answers.asked[places >= 0, NODE]).tolist()
        return Judged(
            list(_messages(out, ends, bounds)),
            len(order),
            {node + known.suffixes[number] for number in suffixes} | others.nodes,
            Counter({left: count for left, count in zip(known.lefts, counts[1:].tolist(), strict=True) if count}),
            left,
        )

    def _judge_each(
        self, lines: LogLines, indexes: list[int], node: str, first: int, parse: Parse
    ) -> tuple[_Hits, list[tuple[int, Left]]]:
        """Judge these lines one by one: the hits, and (which line, why) of those that are none."""
        hits: list[Hit] = []
        left: list[tuple[int, Left]] = []
        for index in indexes:
            line = lines.line(index) if first + index else lines.line(index).removeprefix(BOM)
            try:
                found = self._judge(parse(line.decode("utf-8", "replace")), node, first + index)
            except Unreadable as error:
                found = Left("bad", str(error)) if line.strip() else Left("other", "empty line")
            if isinstance(found, Hit):
                hits.append(found)
            else:
                left.append((index, found))
        return self._written(hits), left

    def _written(self, hits: Sequence[Hit]) -> _Hits:
        texts = [_encode(hit) + b"\n" for hit in hits]
        keys = [key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits]
        return _Hits(
            np.array(partitions(keys, self._partition_count), np.int64),
            np.array([hit.seq for hit in hits], np.int64),
            np.frombuffer(b"".join(texts) + PADDING, np.uint8),
            np.cumsum([0, *map(len, texts)]),
            {hit.node for hit in hits},
        )


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
