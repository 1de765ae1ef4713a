"""The cache says what its answers were, however little it remembers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeltally.cache import Cache
from pixeltally.compiled import PADDING


def columns(questions):
    """The text that the questions' texts stand in, one after the other, and where."""
    text, spans = b"", []
    for question in questions:
        row = []
        for part in question:
            row += [len(text), len(text) + len(part.encode())]
            text += part.encode()
        spans.append(row)
    return np.frombuffer(text + PADDING, np.uint8), np.array(spans, np.int64).T.copy()


def answers(questions):
    return [(sum(map(len, question)), hash(question) >> 8) for question in questions]


texts = st.text(st.sampled_from("abc\0é"), max_size=20)


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.tuples(texts, texts), min_size=1, max_size=30), max_size=20), st.sampled_from([1, 20, 1000])
)
def test_answers_are_those_that_were_given(messages, most):
    cache = Cache(2, most, texts=2)
    for questions in messages:
        asked = []

        def answer(new, asked=asked):
            asked += new
            return answers(new)

        found = cache.look_up(*columns(questions), answer)
        assert list(map(tuple, found.tolist())) == answers(questions)
        assert len(asked) == len(set(asked))
        assert len(cache) <= most + len(questions)


@pytest.mark.parametrize("length", [0, 7, 8, 9, 300_000])
def test_texts_of_any_length_are_told_apart(length):
    questions = [("x" * length,), ("x" * length + "a",), ("x" * length + "b",), ("x" * length,)]
    found = Cache(1, 100).look_up(*columns(questions), lambda new: [(number,) for number in range(len(new))])
    assert found[:, 0].tolist() == [0, 1, 2, 0]
