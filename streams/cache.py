"""Answers by question, so that what comes again costs a look into a dict. Bounded: when it is full it is emptied."""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Cache(Generic[Question, Answer]):
    """Asks `answer` what it does not know yet, all of a column's new questions at once."""

    def __init__(self, answer: Callable[[list[Question]], dict[Question, Answer]], most: int) -> None:
        """`answer` gives each question's answer, `most` is how many are kept."""
        self._answer = answer
        self._most = most
        self._known: dict[Question, Answer] = {}

    def __len__(self) -> int:
        return len(self._known)

    def look_up(self, questions: Sequence[Question]) -> list[Answer]:
        """The answer to each question."""
        known = self._known
        try:
            return list(map(known.__getitem__, questions))
        except KeyError:
            asked = dict.fromkeys(questions)
        new = [question for question in asked if question not in known]
        if len(known) + len(new) > self._most:
            known.clear()
            new = list(asked)
        known.update(self._answer(new))
        return list(map(known.__getitem__, questions))
