"""Drops lines that were shipped twice.

Within a partition a node's lines arrive in order of their `seq`, with gaps where others went to other partitions.
What was seen of a node is kept as a few runs, from a lowest to a highest `seq`: a line within a run has been here
before (the shipper sends again what no broker acknowledged). A line far ahead of all begins a run of its own, so that
one with an absurd `seq` costs its node nothing. The run that was added to longest ago makes room.
"""

import msgspec
import numpy as np

from pixeltally.compiled import Array, byte, compiled
from streams.columns import NODE, SEQ, Lines, text_of

#: A line is of a run up to so many places behind its highest.
REACH = 100_000

#: Runs that are kept of a node: what is shipped again reaches back no further than these do.
MOST_RUNS = 16

#: A node that was not heard of for so long is forgotten: Kafka and spools don't keep lines that long.
KEPT_MS = 30 * 86_400_000


class Node(msgspec.Struct, array_like=True):
    """What was seen of a node."""

    runs: list[tuple[int, int]]  #: lowest and highest `seq`; the one added to last is the last
    arrived: int  #: when the broker took the last of it, epoch milliseconds

    def is_fresh(self, seq: int) -> bool:
        """Whether a line comes for the first time; from now on it has been here."""
        if any(lowest <= seq <= highest for lowest, highest in self.runs):
            return False
        below = max((run for run in self.runs if run[1] < seq), key=lambda run: run[1], default=None)
        if below and seq - below[1] <= REACH:
            self.runs.remove(below)
            self.runs.append((below[0], seq))
        else:
            self.runs.append((seq, seq))
            del self.runs[:-MOST_RUNS]
        return True

    def extend(self, first: int, last: int) -> bool:
        """Add lines from `first` to `last`, close together, if all of them are fresh; whether they are."""
        if any(lowest <= last and first <= highest for lowest, highest in self.runs):
            return False
        self.is_fresh(first)
        self.runs[-1] = self.runs[-1][0], last
        return True


def fresh(lines: Lines, nodes: dict[str, Node], arrived: int) -> tuple[Array | None, dict[str, Node]]:
    """Which lines come for the first time (None: all), and whose of the `nodes` (by name, moved forward) they are."""
    if not len(lines):
        return None, {}
    seqs, first = lines.columns[SEQ], lines.read(NODE, 0)
    if _is_one_run(lines.text, lines.columns[text_of(NODE)], seqs):
        node = nodes.setdefault(first, Node([], arrived))
        node.arrived = arrived
        if node.extend(int(seqs[0]), int(seqs[-1])):
            return None, {first: node}
    names = [lines.read(NODE, index) for index in range(len(lines))]
    touched = {name: nodes.setdefault(name, Node([], arrived)) for name in names}
    for node in touched.values():
        node.arrived = arrived
    return np.array([touched[name].is_fresh(seq) for name, seq in zip(names, seqs.tolist(), strict=True)]), touched


def forget(nodes: dict[str, Node], arrived: int) -> None:
    """Forget whom nothing was heard of for long."""
    for name in [name for name, node in nodes.items() if node.arrived < arrived - KEPT_MS]:
        del nodes[name]


@compiled
def _is_one_run(text: Array, spans: Array, seqs: Array) -> bool:
    """Whether all lines are of one node, in order and close together."""
    start, length = spans[0, 0], spans[1, 0] - spans[0, 0]
    for index in range(1, seqs.size):
        if not 0 < seqs[index] - seqs[index - 1] <= REACH or spans[1, index] - spans[0, index] != length:
            return False
        for at in range(length):
            if byte(text, spans[0, index] + at) != byte(text, start + at):
                return False
    return True
