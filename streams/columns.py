"""A message's hits as columns of numbers: row `FIELD` of the matrix, place `n`, is of line `n`.

A text is two rows: where it starts and ends in the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pixeltally.compiled import Array
from pixeltally.hit import Hit

#: Where the line starts, and where its closing brace stands.
START, END = 0, 1

TIME = 2  #: epoch milliseconds
KIND = 3  #: a number of `KINDS`
VISITOR = 4  #: the unsigned number's bits
SEQ = 5
ID_HIGH, ID_LOW = 6, 7  #: a UUID's bits
DUPLICATE = 8  #: of a fact

ADVERTISER, CAMPAIGN, CREATIVE, PLACEMENT, NODE, IP, USER_AGENT, PURPOSE, VERDICT = range(9, 27, 2)

#: Rows of the matrix, and those of an ad unit's four names.
HEIGHT = 27
UNIT = slice(ADVERTISER, ADVERTISER + 8)

KINDS = ("impression", "open", "view", "click", "conversion")
OPEN, CLICK, CONVERSION = 1, 3, 4


def text_of(field: int) -> slice:
    """The rows of a text."""
    return slice(field, field + 2)


def id_text(bits: Array) -> str:
    """A UUID, of its upper and lower bits. `uuid.UUID` takes three times as long."""
    digits = bits.astype(">i8").tobytes().hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@dataclass(slots=True)
class Lines:
    """Lines of a message that were read. What was decoded by itself, clicks and conversions above all, is in `hits`."""

    text: Array  #: the message's bytes, and others' that columns point to
    columns: Array
    hits: dict[int, Hit]

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    def kept(self, kept: Array) -> "Lines":
        """The lines that `kept` says yes to."""
        if kept.all():
            return self
        places = np.flatnonzero(kept)
        moved = {old: new for new, old in enumerate(places.tolist())}
        hits = {moved[index]: hit for index, hit in self.hits.items() if index in moved}
        return Lines(self.text, np.ascontiguousarray(self.columns[:, places]), hits)

    def part(self, first: int, end: int) -> "Lines":
        """The lines from one up to another."""
        if first == 0 and end == len(self):
            return self
        hits = self.hits and {index - first: hit for index, hit in self.hits.items() if first <= index < end}
        return Lines(self.text, self.columns[:, first:end].copy(), hits)

    def line(self, index: int) -> bytes:
        """One line, as it came, as far as its closing brace."""
        start, end = self.columns[START, index], self.columns[END, index]
        return self.text[start : end + 1].tobytes()

    def read(self, field: int, index: int) -> str:
        """One text."""
        start, end = self.columns[text_of(field), index].tolist()
        return self.text[start:end].tobytes().decode("utf-8", "surrogatepass")

    @property
    def actions(self) -> Mapping[int, Hit]:
        """The clicks and conversions, by index."""
        return self.hits and {index: hit for index, hit in self.hits.items() if self.columns[KIND, index] >= CLICK}
