"""Pieces of a fact's line, made once and put into many."""

import msgspec
import numpy as np

from pixeltally.compiled import PADDING, Array


def fragment(**fields: object) -> bytes:
    """The fields that are not empty, as they stand within a line's braces behind others: `,"asn":3320`."""
    json = msgspec.json.encode({name: value for name, value in fields.items() if value})[1:-1]
    return b"," + json if json else b""


class Fragments:
    """Pieces by their place in one text, for compiled loops. There are as many as answers, and these are few."""

    def __init__(self) -> None:
        self._keep(bytearray(1 << 16))
        self._places: dict[bytes, tuple[int, int]] = {}
        self._used = 0

    def place(self, piece: bytes) -> tuple[int, int]:
        """Where a piece starts, and its length."""
        place = self._places.get(piece)
        if place is None:
            place = self._places[piece] = (self._used, len(piece))
            end = self._used + len(piece)
            if end + len(PADDING) > len(self._memory):
                self._keep(self._memory + bytes(end + len(self._memory)))
            self._memory[self._used : end] = piece
            self._used = end
        return place

    def _keep(self, memory: bytearray) -> None:
        self._memory = memory
        self.text: Array = np.frombuffer(memory, np.uint8)
