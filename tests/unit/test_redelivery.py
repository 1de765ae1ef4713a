"""What was shipped twice counts once; what nodes were seen is neither forgotten too early nor carried for ever."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.columns import HEIGHT, NODE, SEQ, Lines
from streams.redelivery import KEPT_MS, MOST_RUNS, REACH, Node, forget, fresh

ARRIVED_MS = 1_764_000_000_000


def lines(shipped):
    """Lines [(node, seq)]."""
    table, text = np.zeros((HEIGHT, len(shipped)), np.int64), b""
    for index, (node, seq) in enumerate(shipped):
        table[NODE : NODE + 2, index] = len(text), len(text) + len(node)
        table[SEQ, index] = seq
        text += node.encode()
    return Lines(np.frombuffer(text + bytes(32), np.uint8), table, {})


def is_fresh(shipped, nodes):
    found, _ = fresh(lines(shipped), nodes, ARRIVED_MS)
    return [True] * len(shipped) if found is None else found.tolist()


@given(st.data())
def test_every_line_counts_once_whatever_is_shipped_again_and_however_many_went_elsewhere(data):
    """Two nodes ship in order, each message of one or both; some again, from any of their last lines on."""
    shipped, nodes, seen = {"a": [0], "bb": [0]}, {}, {("a", 0), ("bb", 0)}
    assert is_fresh([("a", 0), ("bb", 0)], nodes) == [True, True]
    for _ in range(data.draw(st.integers(1, 12))):
        message = []
        for node in data.draw(st.sampled_from([["a"], ["bb"], ["a", "bb"]])):
            back = data.draw(st.integers(0, 3))
            message += [(node, seq) for seq in shipped[node][len(shipped[node]) - back :]]
            for _ in range(data.draw(st.integers(0, 5))):
                shipped[node].append(shipped[node][-1] + data.draw(st.sampled_from([1, 1, 1, 7, REACH, REACH + 1])))
                message.append((node, shipped[node][-1]))
        expected = []
        for line in message:
            expected.append(line not in seen)
            seen.add(line)
        assert is_fresh(message, nodes) == expected


def test_an_absurd_place_does_not_silence_its_node():
    nodes = {}
    assert is_fresh([("a", 1), ("a", 2), ("a", 1 << 62), ("a", 3), ("a", 1 << 62)], nodes) == [True] * 4 + [False]
    assert is_fresh([("a", seq) for seq in range(1, 1000)], nodes) == [False] * 3 + [True] * 996
    assert is_fresh([("a", (1 << 60) + n * 2 * REACH) for n in range(100)], nodes) == [True] * 100
    assert len(nodes["a"].runs) == MOST_RUNS
    assert is_fresh([("a", 1000)], nodes) == [True]


def test_a_node_is_forgotten_when_nothing_was_heard_of_it_for_a_month():
    nodes = {"old": Node([(0, 7)], ARRIVED_MS - KEPT_MS - 1), "young": Node([(0, 7)], ARRIVED_MS - KEPT_MS)}
    forget(nodes, ARRIVED_MS)
    assert nodes.keys() == {"young"}
