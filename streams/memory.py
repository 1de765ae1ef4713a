"""A dict that forgets: what was put in is found for at least one span of arrival time, at most two.

Time is cut into spans at multiples of the span, by the broker's clock. So what is remembered at a message depends
on the messages alone, and a worker that reads them again remembers the same.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by key, of the current span and the one before it."""

    def __init__(self, span_ms: int) -> None:
        self._span_ms = max(span_ms, 1)
        self._span = 0
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def turn(self, arrived_ms: int) -> bool:
        """Move on to the span that `arrived_ms` lies in; whether it is another. It never moves back."""
        span = arrived_ms // self._span_ms
        if span <= self._span:
            return False
        self._old = self._young if span == self._span + 1 else {}
        self._young = {}
        self._span = span
        return True

    def get(self, key: Key) -> Value | None:
        """What was put in last, while it is remembered."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: Key, value: Value) -> None:
        """Remember a value."""
        self._young[key] = value

    def spans(self, key: Key) -> tuple[Value | None, Value | None]:
        """What was put in during the span before, and during this one."""
        return self._old.get(key), self._young.get(key)
