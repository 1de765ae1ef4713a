"""What the sink does again and again: whatever fails, and only while it is its own."""

import threading
from itertools import count

import pytest

from pixeltally.errors import Refused
from sinks import upkeep


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refused("Kafka doesn't answer"), "counting failed, trying again in 0 s: Kafka doesn't answer"),
        (KeyError("a fault of ours"), "counting failed, trying again in 0 s"),
    ],
)
def test_what_fails_is_named_and_tried_again(caplog, error, said):
    tried, again = count(), threading.Event()

    def fail_once():
        if next(tried) == 0:
            raise error
        again.set()
        threading.Event().wait()  # for good: the thread is a daemon

    upkeep.start("counting", 0.01, lambda: True, fail_once)
    assert again.wait(10)
    assert [record.getMessage() for record in caplog.records] == [said]


def test_another_sinks_is_left_alone_until_it_is_ours():
    asked, done, is_done = count(), [], threading.Event()

    def is_ours():
        return next(asked) == 3

    def act():
        done.append(next(asked))
        is_done.set()
        threading.Event().wait()

    upkeep.start("counting", 0.01, is_ours, act)
    assert is_done.wait(10)
    assert done == [4]
