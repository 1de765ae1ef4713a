"""A dict that forgets: what was put in is found for at least one span of arrival time, at most two.

Time is cut into spans at multiples of the span, by the broker's clock. So what is remembered at a message depends
on the messages alone, and a worker that reads them again remembers the same.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by key: what was put in during this span is in `young`, during the one before in `old`."""

    def __init__(self, span_ms: int) -> None:
        self.young: dict[Key, Value] = {}
        self.old: dict[Key, Value] = {}
        self._span_ms = max(span_ms, 1)
        self._span = 0

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def turn(self, arrived_ms: int) -> bool:
        """Move on to the span that `arrived_ms` lies in; whether it is another. It never moves back."""
        span = arrived_ms // self._span_ms
        if span <= self._span:
            return False
        self.old = self.young if span == self._span + 1 else {}
        self.young = {}
        self._span = span
        return True
