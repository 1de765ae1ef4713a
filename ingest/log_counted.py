"""Which lines of a log are hits already, so that each is sent once, and by which name streams take the others.

Streams take what lies between a node's lowest and highest line of a partition for seen. A line that became a hit later
(it was bad before, or was mapped to nothing) is sent under a further name of its node, `NODE.2`, then `NODE.3`, so that
it counts too.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from clickhouse_connect.driver.client import Client

from pixeltally.compiled import Array

#: Of a line: ClickHouse has it; it is a hit of this run.
_THERE, _OURS = 1, 2

#: Partitions are those of `pixeltally.partition`.
_ROWS = """
SELECT seq, kafkaMurmurHash(concat(advertiser, '/', campaign, '|', toString(visitor))) % {partitions:UInt32}
FROM facts WHERE node = {node:String}
"""
_SEQS = "SELECT seq FROM facts WHERE node = {node:String}"


class Counted:
    """The hits of one node of a log. A node's name may have a suffix, of pages that are mapped to an ad unit."""

    def __init__(self, node: str, first: int, end: int, partition_count: int) -> None:
        """The node's lines are those from the place `first` up to `end`."""
        self._node, self._first, self._end, self._partition_count = node, first, end, partition_count
        self._marks: dict[str, Array] = {}  #: of each line, by suffix
        self._highest: dict[str, Array] = {}  #: the last line in each partition that had come before, by name
        self.sent: Counter[str] = Counter()  #: hits, by name
        self.rows: Counter[str] = Counter()  #: that ClickHouse had before, by name

    def load(self, client: Client, names: Iterable[str]) -> None:
        """Ask ClickHouse which lines it has, under those of these names that are the node's."""
        for name in filter(self.owns, names):
            query = {"node": name, "partitions": self._partition_count}
            with client.query_column_block_stream(_ROWS, parameters=query) as blocks:
                for seqs, partitions in blocks:
                    self.found(name, np.asarray(seqs, np.int64), np.asarray(partitions, np.int64))

    def owns(self, name: str) -> bool:
        """Whether it is one of the node's names."""
        return name == self._node or name.startswith((f"{self._node}.", f"{self._node}-"))

    def found(self, name: str, seqs: Array, partitions: Array) -> None:
        """ClickHouse has these lines, under that name."""
        highest = self._highest.setdefault(name, np.full(self._partition_count, -1, np.int64))
        np.maximum.at(highest, partitions, seqs)
        self.rows[name] += len(seqs)
        self._see(name, seqs)

    def take(self, suffix: str, seqs: Array, partitions: Array) -> Array:
        """Take hits for this run's. The number of the name by which each is to be sent, 0 where it is counted."""
        marks = self._marks_of(suffix)
        left = marks[seqs - self._first] == 0
        marks[seqs - self._first] |= _OURS
        numbers, number = np.zeros(len(seqs), np.int64), 1
        while left.any():
            highest = self._highest.get(self.node(number) + suffix)
            fresh = left if highest is None else left & (seqs > highest[partitions])
            numbers[fresh] = number
            self.sent[self.node(number) + suffix] += int(fresh.sum())
            left &= ~fresh
            number += 1
        return numbers

    def node(self, number: int) -> str:
        """The node's further name of that number, from 1."""
        return self._node if number == 1 else f"{self._node}.{number}"

    def hits(self) -> int:
        """How many of its lines are hits of this run."""
        return sum(int(np.count_nonzero(marks & _OURS)) for marks in self._marks.values())

    def missing(self, client: Client) -> int:
        """Ask ClickHouse how many hits of this run it doesn't have yet."""
        for name in self.sent:
            with client.query_column_block_stream(_SEQS, parameters={"node": name}) as blocks:
                for (seqs,) in blocks:
                    self._see(name, np.asarray(seqs, np.int64))
        return sum(int(np.count_nonzero(marks == _OURS)) for marks in self._marks.values())

    def _see(self, name: str, seqs: Array) -> None:
        _, dash, suffix = name.removeprefix(self._node).partition("-")
        ours = seqs[(self._first <= seqs) & (seqs < self._end)]
        self._marks_of(dash + suffix)[ours - self._first] |= _THERE

    def _marks_of(self, suffix: str) -> Array:
        if suffix not in self._marks:
            self._marks[suffix] = np.zeros(self._end - self._first, np.uint8)
        return self._marks[suffix]
